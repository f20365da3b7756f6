"""More providers, as they send: those of ``testproject/senders.py`` are for the demo, too."""

import base64
import binascii
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from senders import Sender, in_minor, make_id, make_mac, now


class PayPal(Sender):
    """PayPal: https://developer.paypal.com/api/rest/webhooks/."""

    name = "paypal"
    secret = "8PT597110X687430LKGECATA"
    certificate_url = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594"

    def __init__(self):
        self.key = rsa.generate_private_key(65537, 2048)

    @property
    def options(self):
        """What the settings say of it: the public key is in the place of a certificate."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = self.key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
        return dict(super().options, CERTIFICATES={self.certificate_url: pem})

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return a capture."""
        return self.make("PAYMENT.CAPTURE.COMPLETED", amount, id=payment_id, invoice_id=order_id)

    def refund(self, payment_id, refund_id, amount):
        """Return a refund, which names its capture in a link."""
        up = f"https://api.paypal.com/v2/payments/captures/{payment_id}"
        links = [{"rel": "self", "href": "https://api.paypal.com/"}, {"rel": "up", "href": up}]
        return self.make("PAYMENT.CAPTURE.REFUNDED", amount, id=refund_id, links=links)

    def make(self, event_type, amount, **resource):
        """Return an event."""
        money = {"value": amount, "currency_code": self.currency}
        resource.update(amount=money, status="COMPLETED")
        event = {"id": make_id("WH-"), "event_type": event_type, "create_time": now()}
        return dict(event, resource=resource)

    def sign(self, body, secret):
        """Sign the transmission's id and time, the webhook's id and the CRC of the body."""
        transmission, moment = str(uuid.uuid4()), now()
        content = f"{transmission}|{moment}|{secret}|{binascii.crc32(body)}".encode()
        signature = self.key.sign(content, padding.PKCS1v15(), hashes.SHA256())
        return {
            "PAYPAL-TRANSMISSION-ID": transmission,
            "PAYPAL-TRANSMISSION-TIME": moment,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(),
            "PAYPAL-CERT-URL": self.certificate_url,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        }


class CloudPayments(Sender):
    """CloudPayments: https://developers.cloudpayments.ru/#uvedomleniya."""

    name = "cloudpayments"
    secret = "the secret of cloudpayments"
    currency = "RUB"
    content_type = "application/x-www-form-urlencoded"

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return a *Pay*."""
        form = {"TransactionId": payment_id, "Amount": amount, "Currency": self.currency}
        form.update(InvoiceId=order_id, OperationType="Payment", Status="Completed")
        return dict(form, DateTime=now()[:-1].replace("T", " "))

    def refund(self, payment_id, refund_id, amount):
        """Return a *Refund*."""
        form = {"TransactionId": refund_id, "PaymentTransactionId": payment_id, "Amount": amount}
        return dict(form, OperationType="Refund", DateTime=now()[:-1].replace("T", " "))

    def write(self, document):
        """Write a form."""
        return urlencode(document).encode()

    def sign(self, body, secret):
        """Sign the form as it is written."""
        return {"Content-HMAC": base64.b64encode(make_mac(secret, body)).decode()}


class Mollie(Sender):
    """Mollie: https://docs.mollie.com/reference/webhooks-new."""

    name = "mollie"
    secret = "the secret of mollie"

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return a payment that was paid."""
        about = {"metadata": {"order_id": order_id}, "status": "paid"}
        return self.make("payment.paid", payment_id, amount, about)

    def refund(self, payment_id, refund_id, amount):
        """Return a refund."""
        about = {"paymentId": payment_id, "status": "refunded"}
        return self.make("refund.refunded", refund_id, amount, about)

    def make(self, event_type, entity_id, amount, about):
        """Return an event with its whole object."""
        money = {"value": amount, "currency": self.currency}
        event = {"resource": "event", "id": make_id("whe_"), "type": event_type}
        event.update(entityId=entity_id, createdAt=now())
        return dict(event, _embedded={"entity": dict(about, id=entity_id, amount=money)})

    def sign(self, body, secret):
        """Sign the body."""
        return {"X-Mollie-Signature": "sha256=" + make_mac(secret, body).hex()}


class Razorpay(Sender):
    """Razorpay: https://razorpay.com/docs/webhooks/."""

    name = "razorpay"
    secret = "the secret of razorpay"

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return a payment that was captured."""
        payment = self.make_payment(payment_id, amount, {"order_id": order_id})
        return self.make("payment.captured", payment=payment)

    def refund(self, payment_id, refund_id, amount):
        """Return a refund, with its payment beside it."""
        refund = {"id": refund_id, "payment_id": payment_id, "amount": in_minor(amount)}
        refund.update(currency=self.currency, status="processed")
        payment = self.make_payment(payment_id, "10.00", [])
        return self.make("refund.processed", payment=payment, refund=refund)

    def make_payment(self, payment_id, amount, notes):
        """Return a payment."""
        payment = {"id": payment_id, "amount": in_minor(amount), "currency": self.currency}
        return dict(payment, status="captured", notes=notes)

    def make(self, event_type, **entities):
        """Return an event about some objects."""
        payload = {name: {"entity": entity} for name, entity in entities.items()}
        event = {"entity": "event", "event": event_type, "created_at": int(time.time())}
        return dict(event, payload=payload)

    def sign(self, body, secret):
        """Sign the body."""
        return {"X-Razorpay-Signature": make_mac(secret, body).hex()}


class Asked(Sender):
    """A provider that proves nothing, and is asked what is true. ``objects`` is what it says."""

    def __init__(self, objects):
        self.objects = objects

    @property
    def options(self):
        """What the settings say of it."""
        return {"PRESET": self.name, "CONFIRM": f"shop.confirmations.confirm_{self.name}"}


class YooKassa(Asked):
    """YooKassa: https://yookassa.ru/developers/using-api/webhooks."""

    name = "yookassa"

    def charge(self, order_id, payment_id, amount="10.00", status="succeeded"):
        """Return a payment that has succeeded, whatever the API says of its status."""
        about = {"id": payment_id, "metadata": {"order_id": order_id}}
        return self.make("payment", about, amount, status)

    def refund(self, payment_id, refund_id, amount):
        """Return a refund."""
        return self.make("refund", {"id": refund_id, "payment_id": payment_id}, amount, "succeeded")

    def make(self, kind, about, amount, status):
        """Return a notification, and have the API know its object."""
        money = {"value": amount, "currency": self.currency}
        about = dict(about, amount=money, created_at=now(), status="succeeded")
        self.objects[f"/yookassa/{kind}s/{about['id']}"] = dict(about, status=status)
        return {"type": "notification", "event": f"{kind}.succeeded", "object": about}


class MollieClassic(Asked):
    """Mollie: https://docs.mollie.com/reference/webhooks."""

    name = "mollie_classic"
    content_type = "application/x-www-form-urlencoded"

    def charge(self, order_id, payment_id, amount="10.00", status="paid"):
        """Return an id, and have the API know its payment."""
        payment = {"id": payment_id, "metadata": {"order_id": order_id}, "paidAt": now()}
        payment.update(status=status, amount={"value": amount, "currency": self.currency})
        self.objects[f"/mollie/payments/{payment_id}"] = payment
        return {"id": payment_id}

    def write(self, document):
        """Write a form."""
        return urlencode(document).encode()


class API(ThreadingHTTPServer):
    """What answers the shop that asks a provider: ``objects``, by their paths."""

    daemon_threads = True

    def __init__(self, objects):
        super().__init__(("127.0.0.1", 0), Answer)
        self.objects = objects
        self.base_url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    """Answers one question."""

    def do_GET(self):
        """Give the object at a path; 404 if there is none."""
        found = self.server.objects.get(self.path)
        body = json.dumps(found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Print nothing."""
