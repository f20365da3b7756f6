"""The moment of an event, in every form that providers have; or an error, never the present."""

import datetime
from decimal import Decimal

import pytest
from django.test import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.providers.times import read_time, write_time

from .documents import VALUES

MOMENT = datetime.datetime(2026, 11, 23, 10, 0, 0, tzinfo=datetime.timezone.utc)
UNIX = 1795428000


@pytest.mark.parametrize(
    ("value", "form", "zone"),
    [
        ("2026-11-23T10:00:00Z", "auto", "UTC"),
        ("2026-11-23T10:00:00+00:00", "auto", "UTC"),
        ("2026-11-23 10:00:00z", "auto", "UTC"),
        ("2026-11-23T12:00:00+02:00", "auto", "UTC"),
        ("2026-11-23T12:00:00+0200", "iso", "UTC"),
        ("2026-11-23T15:30:00+05:30", "iso", "UTC"),
        ("2026-11-23T10:00:00", "auto", "UTC"),
        ("2026-11-23 17:00", "iso", "+07:00"),
        ("2026-11-23T10:00:00.000000000Z", "auto", "UTC"),
        (UNIX, "auto", "UTC"),
        (Decimal("%d.0" % UNIX), "auto", "UTC"),
        (UNIX, "s", "UTC"),
        (str(UNIX), "s", "UTC"),
        (UNIX * 1000, "ms", "UTC"),
        (str(UNIX * 1000), "ms", "UTC"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "rfc2822", "UTC"),
        ("Mon, 23 Nov 2026 13:00:00", "rfc2822", "+03:00"),
        ("20261123100000", "%Y%m%d%H%M%S", "UTC"),
        ("20261123130000", "%Y%m%d%H%M%S", "+03:00"),
        ("2026/11/23 12:00:00 +0200", "%Y/%m/%d %H:%M:%S %z", "UTC"),
    ],
)
def test_a_moment_is_read_as_the_provider_writes_it(value, form, zone):
    assert read_time(value, form, zone) == MOMENT


def test_fractions_of_a_second_are_kept():
    assert read_time("2026-11-23T10:00:00.25Z") - MOMENT == datetime.timedelta(seconds=0.25)
    assert read_time(Decimal("%d.25" % UNIX)) - MOMENT == datetime.timedelta(seconds=0.25)
    assert read_time(UNIX * 1000 + 250, "ms") - MOMENT == datetime.timedelta(seconds=0.25)


@pytest.mark.parametrize("value", ["2026-11-23T10:00:00Z", "2026-11-23T12:00:00+02:00", UNIX])
def test_a_moment_is_naive_and_local_without_time_zones(db, value):
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        moment = read_time(value)
    assert moment == datetime.datetime(2026, 11, 23, 19, 0, 0)
    assert timezone.is_naive(moment)


@pytest.mark.parametrize(
    ("value", "form", "what"),
    [
        # Each of these was the present, 1712 or 1970 once, and not on every Python the same.
        ("1712051212045", "auto", "TIME_FORMAT"),
        ("1712051212", "auto", "TIME_FORMAT"),
        (1712051212045, "auto", "not a time of this century"),
        (20180124, "auto", "not a time of this century"),
        ("20180124", "auto", "ISO 8601"),
        ("20180124T120000Z", "iso", "ISO 8601"),
        ("2018-01-24", "iso", "ISO 8601"),
        ("2018-W04-3T12:00:00", "iso", "ISO 8601"),
        (True, "auto", "Unix seconds"),
        (False, "s", "Unix seconds"),
        (1712051212, "ms", "not a time of this century"),
        (1712051212, "iso", "is no text"),
        ("soon", "auto", "ISO 8601"),
        ("soon", "s", "Unix seconds"),
        ("-1712051212", "s", "Unix seconds"),
        ("\uff11712051212", "s", "Unix seconds"),
        ("1_712_051_212", "s", "Unix seconds"),
        ("2026-13-45T99:99:99Z", "auto", "does not exist"),
        ("2026-02-30T10:00:00Z", "auto", "does not exist"),
        ("2026-11-23T10:00:00+99:00", "auto", "a day or more"),
        ("Mon, 23 Nov", "rfc2822", "RFC 2822"),
        ("23.11.2026", "%Y%m%d%H%M%S", "%Y%m%d%H%M%S"),
        ("9999-12-31T23:59:59-12:00", "auto", "a year"),
        ("0001-01-01T00:00:00+12:00", "auto", "year"),
        ([], "auto", "Unix seconds"),
        ({}, "s", "Unix seconds"),
        (10**400, "auto", "not a time of this century"),
        (-UNIX, "auto", "not a time of this century"),
        (Decimal("1e300"), "auto", "not a time of this century"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_can_not_be_read_is_an_error_and_never_another_time(db, value, form, what):
    for use_tz in (True, False):
        with override_settings(USE_TZ=use_tz), pytest.raises(ValueError, match=what):
            read_time(value, form)


@pytest.mark.parametrize("zone", ["Moscow", "+3", "", "+25:00"])
def test_a_zone_that_is_none_is_an_error(zone):
    with pytest.raises(ValueError, match="zone"):
        read_time("2026-11-23T10:00:00", "iso", zone)


@given(
    VALUES | st.decimals(allow_nan=False, allow_infinity=False) | st.datetimes().map(str),
    st.sampled_from(["auto", "s", "ms", "iso", "rfc2822", "%Y%m%d%H%M%S", "%c"]),
)
def test_any_value_gives_a_moment_or_a_value_error(value, form):
    try:
        moment = read_time(value, form)
    except ValueError:
        return
    assert timezone.is_aware(moment)
    for hours in (-12, 14):
        moment.astimezone(datetime.timezone(datetime.timedelta(hours=hours)))


@pytest.mark.parametrize(
    ("form", "zone"),
    [
        ("auto", "UTC"),
        ("iso", "+07:00"),
        ("s", "UTC"),
        ("ms", "UTC"),
        ("rfc2822", "UTC"),
        ("%Y%m%d%H%M%S", "+03:00"),
    ],
)
def test_what_is_written_is_read_back(form, zone):
    assert read_time(write_time(MOMENT, form, zone), form, zone) == MOMENT


@pytest.mark.parametrize("value", [1700000000000, "1700000000", "2023-11-14T22:13:20Z"])
def test_of_several_formats_the_first_that_fits_counts(value):
    moment = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
    assert read_time(value, "ms|s|iso") == moment


def test_what_none_of_several_formats_fits_is_an_error():
    with pytest.raises(ValueError, match="ISO 8601"):
        read_time("20180124", "ms|iso")


def test_of_several_formats_the_first_is_written():
    assert write_time(MOMENT, "ms|iso") == write_time(MOMENT, "ms")
