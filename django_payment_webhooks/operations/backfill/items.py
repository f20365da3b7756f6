"""Sorts a source's events: known, missed, contradictory, or unreadable."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Mapping, NamedTuple, Sequence

from ...conf import get_provider
from ...models import Event
from ...providers.confirmed import read_sent
from ...providers.headers import find_meta_name
from ...providers.payloads import dump_json
from ...providers.personal import hide_personal
from ...receiving import BaseProvider
from .paging import Recent
from .sources import RawEvent, SourceError


class Item(NamedTuple):
    """An item of a source's page: the arguments of ``receive_events``, and its events."""

    meta: Mapping[str, str]
    body: bytes
    drafts: Sequence[Event]


class Sorted(NamedTuple):
    """A page's items, sorted.

    ``to_receive`` are the items with an event that is not stored, or is stored with other content;
    ``missing`` the events that are not stored. ``checked`` is the number of readable events,
    ``moments`` are when the first and the last of them happened, and ``problems`` has the number of
    unreadable items for each reason.
    """

    to_receive: list[Item]
    missing: list[Event]
    checked: int
    moments: list[datetime]
    problems: Counter[str]


def sort_items(provider: BaseProvider, items: Sequence[Any], recent: Recent) -> Sorted:
    """Sort the items of a page, without those already seen."""
    problems: Counter[str] = Counter()
    readable = []
    for item in (read_item(provider, item) for item in items):
        broken = [hide_personal(draft, draft.error) for draft in item.drafts if not draft.type]
        problems.update(broken[:1])
        if not broken and any([recent.add(draft.dedup_key) for draft in item.drafts]):
            readable.append(item)
    drafts = [draft for item in readable for draft in item.drafts]
    known = find_known(drafts)
    missing = [draft for draft in drafts if draft.dedup_key not in known]
    to_receive = [
        item
        for item in readable
        if any(
            draft.dedup_key not in known or contradicts(known[draft.dedup_key], draft)
            for draft in item.drafts
        )
    ]
    moments = [draft.occurred_at for draft in drafts[:1] + drafts[-1:]]
    return Sorted(to_receive, missing, len(drafts), moments, problems)


def read_item(provider: BaseProvider, item: Any) -> Item:
    """Return a source's item as read by its provider."""
    raw = item if isinstance(item, RawEvent) else RawEvent(item)
    meta = {find_meta_name(name): value for name, value in raw.headers.items()}
    body = write_body(raw.body)
    return Item(meta, body, provider.parse(meta, body))


def write_body(body: Any) -> bytes:
    """Return a body as a webhook has it. Raises ``SourceError``."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict):
        return dump_json(body)
    raise SourceError(
        f"The source gives {type(body).__name__} as an event: give bytes, text, a dictionary, or a "
        f"RawEvent of one of these."
    )


def find_known(drafts: Sequence[Event]) -> dict[str, Event]:
    """Return the stored events by key. Their bodies are read when needed."""
    keys = {draft.dedup_key for draft in drafts}
    stored = Event.objects.filter(dedup_key__in=keys).defer("body", "confirmation")
    return {event.dedup_key: event for event in stored}


def contradicts(event: Event, draft: Event) -> bool:
    """Return whether a listed event contradicts the stored one.

    An API writes an event differently than a webhook: in another version's form, or with other
    details of the request. So only what the event is about is compared.
    """
    if event.fingerprint == draft.fingerprint or event.provider != draft.provider:
        return False
    if not event.confirmation and event.type != draft.type:
        return True
    if event.order_id and draft.order_id not in ("", event.order_id):
        return True
    is_same_payment = event.payment_id == draft.payment_id
    return not is_same_payment or read_data(event) != read_data(draft)


def read_data(event: Event) -> Any:
    """Return an event's ids, amount and currency as they were sent."""
    return get_provider(event.provider).read(read_sent(event))
