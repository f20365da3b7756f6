"""The shop's addresses."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve

try:
    from django.urls import include, re_path
except ImportError:  # Django 1.11
    from django.conf.urls import include
    from django.conf.urls import url as re_path

urlpatterns = [
    re_path(r"^v1/webhooks/", include("django_payment_webhooks.urls")),
    re_path(r"^admin/", admin.site.urls),
    # The admin's style sheets, without another server beside this one. Good enough for a test project.
    re_path(r"^static/(?P<path>.*)$", serve, {"insecure": True}),
]
