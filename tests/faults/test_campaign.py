"""A short campaign on each database and each broker. ``python3 dev.py faults`` runs longer ones, on
each pair of them.
"""

import pytest

from .campaign import find_missing, run_campaign, write_table

PAIRS = ["sqlite-embedded", "postgresql-rabbitmq", "mariadb-redis"]
# With this seed every kind of order is among those of each pair.
SEED, SECONDS = "131", 25


@pytest.mark.parametrize("pair", PAIRS)
def test_nothing_is_lost_doubled_or_stuck_under_fire(pair):
    missing = find_missing(pair)
    if missing:
        pytest.skip("needs " + " and ".join(missing))

    result = run_campaign(pair, SEED, SECONDS)

    print(write_table([result]))
    assert result.findings == []
    # There was something to survive.
    assert (
        result.answers[200] > 50
        and sum(result.kills.values()) > 5
        and sum(result.faults.values()) > 3
    )
