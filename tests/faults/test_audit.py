"""The audit finds every kind of damage that is planted into what a healthy campaign has left, and
nothing else.
"""

import contextlib
import copy
import os
import shutil
from collections import Counter

import pytest
from processes import wait_until

from ..services.e2e.stacks import Database
from .audit import Finding, find_leftovers, find_locks
from .campaign import NAMES, Campaign, Shop, write_table
from .story import PLOTS, expect


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A short campaign without any fault, on SQLite and the embedded broker. It is over."""
    shop = Shop("sqlite-embedded", str(tmp_path_factory.mktemp("shop")))
    try:
        shop.env["PAYMENT_WEBHOOKS_MAX_ATTEMPTS"] = "3"
        campaign = Campaign(shop, "sqlite-embedded", seed="43", seconds=6, rate=24, deadline=4)
        campaign.result = campaign.run(with_faults=False)
    finally:
        shop.stop()
    shop.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return campaign


# The effects of an order that the damage is done to, and how many events tell of each.
WHOLE = [("dispute", 1), ("payment", 1), ("refund", 1)]


class Remains:
    """What a campaign has left, to be damaged."""

    def __init__(self, campaign, folder):
        self.campaign, self.messages = copy.copy(campaign), 0
        self.database = Database(None, folder)
        shutil.copy(campaign.shop.database.file, self.database.file)
        self.calls = self.campaign.calls = copy.deepcopy(campaign.calls)
        self.campaign.traffic = copy.copy(campaign.traffic)
        self.accepted = self.campaign.traffic.accepted = copy.deepcopy(campaign.traffic.accepted)
        self.names = self.name()

    def name(self):
        """Return the names of some orders and events that a damage can be done to."""
        names = {}
        for order in self.campaign.orders:
            effects = expect(order)
            names[order.plot] = order.id
            if order.plot == "usual" and [
                len(effect.events) for effect in effects if effect.kind == "payment"
            ] == [2]:
                names["twice"] = order.id
            if (
                sorted((effect.kind, len(effect.events)) for effect in effects) == WHOLE
                and order.plot == "usual"
            ):
                names.update(order=order.id, amount=order.amount)
                names.update((effect.kind, effect.events[0].event_id) for effect in effects)
                for name in ("charge_id", "refund_id", "dispute_id"):
                    (names[name],) = [
                        event.data[name] for event in order.events if name in event.data
                    ]
        return names

    def execute(self, *statements):
        """Do damage to the database."""
        for statement in statements:
            self.database.execute(statement % self.names)

    def find(self):
        """Return all findings."""
        return find_leftovers(self.database, self.messages) + self.campaign.audit(self.database)


@pytest.fixture
def remains(campaign, tmp_path):
    """A copy of what the campaign has left."""
    return Remains(campaign, str(tmp_path))


def test_healthy_campaign_has_no_finding(campaign, remains):
    assert campaign.result.findings == []
    assert remains.find() == []
    # It is worth looking at: every plot was played, with every outcome, and the forgeries were
    # sent.
    assert {order.plot for order in campaign.orders} == set(PLOTS)
    statuses = dict(
        remains.database.execute(
            "SELECT status, COUNT(*) FROM payment_webhooks_event GROUP BY status"
        )
    )
    assert set(statuses) == {"processed", "duplicate", "ignored", "failed"}
    assert set(campaign.result.answers) == {200, 401}
    assert {"order", "payment", "refund", "dispute", "twice"} <= set(remains.names)


EVENT = "UPDATE payment_webhooks_event SET %s WHERE provider_event_id = '%%(%s)s'"
COPIED = (
    "fingerprint, type, order_id, order_key, payment_id, payment_key, occurred_at, received_at, "
    "verified_by, status, attempts, version, finished_at, error, body"
)
COPY = (
    f"INSERT INTO payment_webhooks_event (provider, provider_event_id, dedup_key, {COPIED}) "
    f"SELECT provider, %s, 'another', {COPIED} FROM payment_webhooks_event "
    "WHERE provider_event_id = '%%(payment)s'"
)
FAILED = (
    "UPDATE payment_webhooks_event SET %s WHERE status = 'failed' AND order_id = '%%(unknown)s'"
)
LEDGER = (
    "INSERT INTO shop_ledgerentry (kind, order_id, reference, amount) "
    "VALUES ('%s', '%%(%s)s', '%s', %s)"
)

# What is done to the database, the kind of what is found, and words of it.
DAMAGES = {
    "an accepted event is gone": (
        "DELETE FROM payment_webhooks_event WHERE provider_event_id = '%(payment)s'",
        "lost",
        "has no row",
    ),
    "an event was not taken": (
        EVENT % ("status = 'received', finished_at = NULL", "refund"),
        "stuck",
        "is received",
    ),
    "an event waits": (EVENT % ("status = 'waiting'", "refund"), "stuck", "is waiting"),
    "an event was not delivered": (
        EVENT % ("status = 'applied'", "payment"),
        "stuck",
        "is applied",
    ),
    "a lease is left": (EVENT % ("due_at = 1.5", "payment"), "stuck", "leased"),
    "the sweeper would enqueue it": (
        EVENT % ("enqueue_at = 1.5", "payment"),
        "stuck",
        "still due",
    ),
    "an event has no end": (EVENT % ("finished_at = NULL", "payment"), "stuck", "not finished"),
    "a charge failed": (
        EVENT % ("status = 'failed', idempotency_key = NULL, error = 'x'", "payment"),
        "lost",
        "no event had the payment",
    ),
    "a delivery failed": (
        EVENT % ("status = 'failed', error = 'x'", "payment"),
        "lost",
        "is failed",
    ),
    "a refund was ignored": (EVENT % ("status = 'ignored'", "refund"), "wrong", "is ignored"),
    "an event failed without a reason": (
        FAILED % "error = ''",
        "wrong",
        "without a reason",
    ),
    "an event failed by being tried too often": (
        FAILED % "attempts = 3",
        "lost",
        "want of more attempts",
    ),
    "an event was tried without an end": (
        EVENT % ("attempts = 5", "payment"),
        "wrong",
        "was tried 5 times",
    ),
    "an event was stored twice": (COPY % "provider_event_id", "doubled", "has 2 rows"),
    "a forged event was stored": (COPY % "'forged'", "wrong", "no provider sent it"),
    "a body was changed": (EVENT % ("body = x'7b7d'", "refund"), "wrong", "as it was sent"),
    "two events had one effect": (
        "UPDATE payment_webhooks_event SET status = 'processed', idempotency_key = 'another'"
        " WHERE status = 'duplicate' AND type = 'charge.succeeded' AND order_id = '%(twice)s'",
        "doubled",
        "2 events had the payment",
    ),
    "an effect is missing in the ledger": (
        "DELETE FROM shop_ledgerentry WHERE order_id = '%(order)s' AND kind = 'payment'",
        "lost",
        "the payment of",
    ),
    "an order was paid twice": (
        LEDGER % ("payment", "order", "%(charge_id)s", "%(amount)s"),
        "doubled",
        "is in the ledger 2 times",
    ),
    "a refund was made twice": (
        "INSERT INTO shop_refund (order_id, refund_id, amount)"
        " SELECT order_id, refund_id, amount FROM shop_refund WHERE refund_id = '%(refund_id)s'",
        "doubled",
        "is in the refunds 2 times",
    ),
    "a refund is missing": (
        "DELETE FROM shop_refund WHERE refund_id = '%(refund_id)s'",
        "lost",
        "not in the refunds",
    ),
    "a dispute was opened twice": (
        "INSERT INTO shop_dispute (order_id, dispute_id) VALUES ('%(order)s', '%(dispute_id)s')",
        "doubled",
        "is in the disputes 2 times",
    ),
    "a dispute is missing": (
        "DELETE FROM shop_dispute WHERE dispute_id = '%(dispute_id)s'",
        "lost",
        "not in the disputes",
    ),
    "nobody told of a refund": (
        LEDGER % ("refund", "order", "another", "1"),
        "wrong",
        "nobody told",
    ),
    "a forged payment has an effect": (
        LEDGER % ("payment", "unpaid", "forged", "1"),
        "wrong",
        "nobody told",
    ),
    "a wrong sum is in the ledger": (
        "UPDATE shop_ledgerentry SET amount = amount + 0.01"
        " WHERE order_id = '%(order)s' AND kind = 'payment'",
        "wrong",
        "is in the ledger with",
    ),
    "a wrong sum was refunded": (
        "UPDATE shop_refund SET amount = 0.01 WHERE refund_id = '%(refund_id)s'",
        "wrong",
        "is in the refunds with 0.01",
    ),
    "a refund without a charge was made": (
        "INSERT INTO shop_refund (order_id, refund_id, amount)"
        " VALUES ('%(orphan)s', 're_%(orphan)s_0', 1)",
        "wrong",
        "is in the refunds 1 times",
    ),
    "an order is not marked as paid": (
        "UPDATE shop_order SET status = 'new' WHERE id = '%(order)s'",
        "lost",
        "is new",
    ),
    "an order was paid at no time": (
        "UPDATE shop_order SET paid_at = NULL WHERE id = '%(order)s'",
        "lost",
        "at None",
    ),
    "an order is paid that nobody paid": (
        "UPDATE shop_order SET status = 'paid', paid_at = '2026-01-01' WHERE id = '%(unpaid)s'",
        "wrong",
        "is paid",
    ),
    "an order is gone": ("DELETE FROM shop_order WHERE id = '%(unpaid)s'", "wrong", "is None"),
    "the warehouse has another key": (
        EVENT % ("idempotency_key = 'another'", "payment"),
        "wrong",
        "is not the event's",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_the_database_is_found(remains, damage):
    statement, kind, words = DAMAGES[damage]

    remains.execute(statement)

    findings = remains.find()
    assert {finding.kind for finding in findings} == {kind}, findings
    assert any(words in finding.what for finding in findings), findings


def forget_call(remains):
    """Undo that the warehouse was told of an order."""
    remains.calls[:] = [
        call for call in remains.calls if call["order_id"] != remains.names["order"]
    ]


def refuse_call(remains):
    """Let the warehouse never have said yes."""
    for call in remains.calls:
        if call["order_id"] == remains.names["order"]:
            call["status"] = 503


def call_again(remains, order, **changes):
    """Let the warehouse be told once more of an order."""
    told = next(call for call in remains.calls if call["order_id"] == remains.names["order"])
    remains.calls.append(dict(told, order_id=remains.names[order], **changes))


def share_key(remains):
    """Let two orders have the same key, at the warehouse and in their events."""
    (key,) = {call["key"] for call in remains.calls if call["order_id"] == remains.names["order"]}
    for call in remains.calls:
        if call["order_id"] == remains.names["twice"]:
            call["key"] = key


def accept(remains, **words):
    """Let an event have been accepted otherwise."""
    for key in remains.accepted:
        if key[1] == remains.names["payment"]:
            remains.accepted[key] = Counter(words)


OTHER_DAMAGES = {
    "the warehouse was not told": (forget_call, "lost", "was not told"),
    "the warehouse never agreed": (refuse_call, "lost", "was not told"),
    "the warehouse was told by two keys": (
        lambda remains: call_again(remains, "order", key="other"),
        "doubled",
        "2 keys",
    ),
    "the warehouse was told of an unpaid order": (
        lambda remains: call_again(remains, "unpaid"),
        "wrong",
        "which is not paid",
    ),
    "two orders have one key": (share_key, "wrong", "have one key"),
    "an event was never accepted": (accept, "stuck", "never answered 200"),
    "an event was new twice": (
        lambda remains: accept(remains, accepted=2),
        "doubled",
        "was new 2 times",
    ),
    "a message is left": (
        lambda remains: setattr(remains, "messages", 1),
        "stuck",
        "1 messages are in the queue",
    ),
}


@pytest.mark.parametrize("damage", OTHER_DAMAGES)
def test_damage_elsewhere_is_found(remains, damage):
    do_damage, kind, words = OTHER_DAMAGES[damage]

    do_damage(remains)

    findings = remains.find()
    assert kind in {finding.kind for finding in findings} <= {kind, "wrong"}, findings
    assert any(words in finding.what for finding in findings), findings


@pytest.mark.parametrize("variable", ["", "TEST_POSTGRES_URL", "TEST_MYSQL_URL"])
def test_transaction_that_is_left_open_is_found(variable, tmp_path):
    if variable and not os.environ.get(variable):
        pytest.skip("needs " + NAMES[variable])
    database = Database(os.environ.get(variable), str(tmp_path))
    try:
        database.execute("CREATE TABLE money (amount INTEGER)")
        assert find_locks(database) == []
        with contextlib.closing(database.connect()) as connection, contextlib.closing(
            connection.cursor()
        ) as cursor:
            for statement in ("BEGIN", "INSERT INTO money (amount) VALUES (1)"):
                cursor.execute(statement)

            # MariaDB's view of its transactions is a moment old.
            assert wait_until(lambda: find_locks(database))

            cursor.execute("ROLLBACK")
        assert wait_until(lambda: find_locks(database) == [])
    finally:
        database.drop()


def test_findings_are_in_the_table(campaign):
    result = campaign.result._replace(
        findings=[Finding("lost", "a"), Finding("stuck", "b"), Finding("stuck", "c")]
    )

    table = write_table([result, result])

    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert rows[2][-4:] == ["1", "0", "2", "0"]
    assert rows[4][0] == "together" and rows[4][-4:] == ["2", "0", "4", "0"]
    assert "sqlite-embedded: LOST: a" in table


# What a machine that is too slow does: the payment comes when the refund has failed.
LATE = [
    EVENT
    % (
        "status = 'failed', idempotency_key = NULL, error = 'x', "
        "received_at = '2026-01-01 10:00:00', finished_at = '2026-01-01 10:00:%d'",
        "refund",
    ),
    EVENT % ("received_at = '2026-01-01 10:00:%d'", "payment"),
    "DELETE FROM shop_refund WHERE refund_id = '%(refund_id)s'",
    "DELETE FROM shop_ledgerentry WHERE reference = '%(refund_id)s'",
]


def plant_late_payment(remains, finished, paid):
    """Let a refund fail, and its payment arrive, after these numbers of seconds."""
    refund, payment, *rest = LATE
    remains.execute(refund.replace("%d", "%02d" % finished), payment.replace("%d", "%02d" % paid))
    remains.execute(*rest)


def test_payment_that_comes_after_the_refunds_deadline_is_nothing_to_find(remains):
    plant_late_payment(remains, finished=4, paid=5)
    assert remains.find() == []


@pytest.mark.parametrize(
    ("finished", "paid"), [(4, 3), (5, 1), (3, 5)], ids=["just in time", "in time", "too early"]
)
def test_refund_that_fails_although_it_need_not_is_lost(remains, finished, paid):
    plant_late_payment(remains, finished, paid)
    found = {finding.kind for finding in remains.find()}
    assert found == {"lost"}
