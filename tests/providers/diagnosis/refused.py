"""What a webhook consists of that is refused."""

import hmac
import json

from ...factories import SECRET, PayloadFactory

OLD = "the old secret of the partner!!!"
TIMED = "a-secret-of-the-timed-partner!!!"
# As many programs write it, and with all that they write in different ways.
PAYLOAD = PayloadFactory(event_id="evt_1", note="\u00e9 </b>", count=2.5, data__amount="10.00")
BODY = json.dumps(PAYLOAD, separators=(",", ":"), ensure_ascii=False).encode()


def write(**options):
    """Return the same JSON, written in another way."""
    return json.dumps(PAYLOAD, **options).encode()


def mac(body, key=SECRET, digest="sha256"):
    """Return an HMAC."""
    return hmac.new(key if isinstance(key, bytes) else key.encode(), body, digest)
