"""Queue messages: what is sent is read back, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadRequest
from ingest.runs.messages import Advance, Claim, LoadDataset, Message, decode, encode

MESSAGES = st.one_of(
    st.builds(Advance, run_id=st.text()),
    st.builds(Claim, path=st.text()),
    st.builds(LoadDataset, dataset=st.text()),
)


@given(MESSAGES)
def test_a_message_survives_the_queue(message: Message) -> None:
    """Encoding and decoding gives the same message."""
    assert decode(encode(message).encode()) == message


@given(
    st.one_of(st.binary(), st.sampled_from([b"[]", b"{}", b'{"kind":"x"}', b'{"kind":"advance"}']))
)
def test_anything_else_is_refused(body: bytes) -> None:
    """A foreign message is named as such, whatever it holds."""
    with pytest.raises(BadRequest):
        decode(body)
