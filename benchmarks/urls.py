"""The shop's addresses, and those of the naive programs."""

from __future__ import annotations

from testproject.urls import urlpatterns as shop_urlpatterns

from .naive import views

try:
    from django.urls import re_path
except ImportError:  # Django 1.11
    from django.conf.urls import url as re_path

urlpatterns = shop_urlpatterns + [
    re_path(r"^naive$", views.receive),
    re_path(r"^naive-orm$", views.receive_for_orm),
    re_path(r"^naive-many$", views.receive_many),
]
