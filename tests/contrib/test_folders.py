"""The broker of the tutorial: folders."""

import os
from queue import Empty

import pytest
from kombu import Connection

from django_payment_webhooks.contrib.folders import Transport


@pytest.fixture
def channel(tmp_path):
    """A channel to folders of this test."""
    folder = str(tmp_path)
    options = dict.fromkeys(["data_folder_in", "data_folder_out", "control_folder"], folder)
    with Connection("filesystem://", transport=Transport, transport_options=options) as connection:
        yield connection.channel()


def test_a_message_is_not_seen_before_it_is_whole(channel, monkeypatch):
    rename, seen = os.rename, []

    def look_and_rename(*names):
        with pytest.raises(Empty):
            channel._get("shop")
        seen.extend(os.listdir(channel.data_folder_in))
        rename(*names)

    monkeypatch.setattr(os, "rename", look_and_rename)
    channel._put("shop", {"keys": [1]})
    monkeypatch.undo()
    assert len(seen) == 1
    assert channel._get("shop") == {"keys": [1]}
    assert os.listdir(channel.data_folder_in) == []
