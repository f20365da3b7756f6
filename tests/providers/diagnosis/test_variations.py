"""Each part of a recipe is varied alone, and what the provider says already is not tried again."""

import pytest

from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.diagnosis.variations import (
    Recipe,
    vary_content,
    vary_digest,
)

RECIPE = Recipe(b"{}", {1: b"a key of sixteen"}, "sha256", "{body}")


@pytest.mark.parametrize(
    ("vary", "part", "count"), [(vary_digest, "digest", 4), (vary_content, "content", 4)]
)
def test_every_variation_changes_one_part_and_says_what_to_set(vary, part, count):
    variations = list(vary(Provider("partner")))
    assert len(variations) == count
    for variation in variations:
        recipe = variation.apply_to(RECIPE)
        before, after = RECIPE._asdict(), recipe._asdict()
        assert [name for name in before if after[name] != before[name]] == [part]
        assert after[part] in variation.change.text
        assert "Set %s to" % part.upper() in variation.change.advice


def test_what_the_provider_says_already_is_no_variation():
    provider = Provider("partner", DIGEST="sha1", CONTENT="{timestamp}.{body}")
    assert "sha1" not in [variation.replaced["digest"] for variation in vary_digest(provider)]
    contents = [variation.replaced["content"] for variation in vary_content(provider)]
    assert "{timestamp}.{body}" not in contents
