"""PayMongo in test mode: the same events, and the other signature."""

from .contract import Contract
from .test_paymongo import EVENTS


class TestPayMongoTest(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = EVENTS
