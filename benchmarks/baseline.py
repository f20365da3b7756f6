"""The least that an endpoint for webhooks can do: compare the HMAC, insert one row. Measured beside the app's own view.

These are the addresses of the shop, with this view added.
"""

import hashlib
import hmac

from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from testproject.urls import urlpatterns as shop_urlpatterns

try:
    from django.urls import re_path
except ImportError:  # Django 1.11
    from django.conf.urls import url as re_path

ID_COLUMN = {
    "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
    "postgresql": "bigserial PRIMARY KEY",
    "mysql": "bigint AUTO_INCREMENT PRIMARY KEY",
}


@csrf_exempt
def receive_baseline(request):
    """Verify the signature, and store the body."""
    key = settings.PAYMENT_WEBHOOKS_PROVIDERS["default"]["SECRETS"][0].encode()
    expected = hmac.new(key, request.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.META.get("HTTP_X_SIGNATURE", "")):
        return HttpResponse(status=401)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO baseline (body) VALUES (%s)", [request.body.decode()])
    return HttpResponse("{}", content_type="application/json")


def create_table():
    """Create the table that the view inserts into."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE baseline (id %s, body text NOT NULL)" % ID_COLUMN[connection.vendor]
        )


urlpatterns = shop_urlpatterns + [re_path(r"^baseline$", receive_baseline)]
