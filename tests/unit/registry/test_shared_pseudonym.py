"""Pseudonyms are keyed, stable and never zero."""

import hashlib
import hmac

from shared.names import anonymous_key, user_key


def test_a_pseudonym_is_the_first_eight_bytes_of_the_keyed_hash():
    expected = hmac.new(b"secret", b"user:ana@example.com", hashlib.sha256).digest()[:8]
    assert user_key(b"secret", "ana@example.com") == int.from_bytes(expected, "big")


def test_users_and_visitors_of_the_same_id_have_different_keys():
    assert user_key(b"secret", "7") != anonymous_key(b"secret", "7")


def test_an_id_in_any_script_has_a_key_of_64_bits():
    assert 0 < user_key(b"\x00" * 32, "ñandú 客户") < 2**64
