"""Events in an envelope: a form with a field that has the signed document in base64."""

from __future__ import annotations

import base64
from typing import Any

from .bodies import FORMATS
from .declarative import Provider


class FormEnvelope(Provider):
    """A provider that sends a document inside a form, beside its signature.

    ``content`` can have ``{form:...}``, the field as it was sent but without trailing white space,
    which not every server keeps.
    """

    body_format = "form"
    #: The form field with the document, and the document's format.
    payload_field = "payload"
    payload_format = "json"

    def decode_signed(self, body: bytes) -> Any:
        """Return the form. Raises ``ValueError``."""
        form = FORMATS["form"].decode(body)
        return {**form, self.payload_field: form.get(self.payload_field, "").rstrip()}

    def decode(self, body: bytes) -> Any:
        """Return the document in the form. Raises ``ValueError``."""
        text = "".join(self.decode_signed(body)[self.payload_field].split())
        return FORMATS[self.payload_format].decode(base64.b64decode(text, validate=True))

    def encode(self, payload: Any) -> bytes:
        """Return a form with a document. A signature is beside the document, not in it."""
        signature = payload.get(self.signature_field, "")
        rest = {name: each for name, each in payload.items() if name != self.signature_field}
        text = base64.encodebytes(FORMATS[self.payload_format].encode(rest)).decode()
        fields = {self.signature_field: signature, self.payload_field: text}
        return FORMATS["form"].encode(fields)
