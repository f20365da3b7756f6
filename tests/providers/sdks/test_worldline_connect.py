"""Worldline Connect's SDK verifies."""

from .judge import Judge, load_sdk, read

communication = load_sdk("worldline.connect.sdk.communication.request_header")
webhooks = load_sdk("worldline.connect.sdk.webhooks.signature_validator")
stores = load_sdk("worldline.connect.sdk.webhooks.in_memory_secret_key_store")


class TestWorldlineConnect(Judge):
    def verify(self, webhook, secret):
        store = stores.InMemorySecretKeyStore()
        store.store_secret_key("key", secret)
        signature = read(webhook, "X-GCS-Signature")
        values = {"X-GCS-Signature": signature, "X-GCS-KeyId": "key"}
        sent = [communication.RequestHeader(name, value) for name, value in values.items()]
        webhooks.SignatureValidator(store).validate(webhook.body, sent)
