"""Reference implementation of the fieldseal token, version 1, and its test vectors. Needs the package `cryptography`.

    python3 token_v1.py generate > tokens.json
    python3 token_v1.py verify tokens.json
"""
import base64, hashlib, itertools, json, re, sys
from collections import namedtuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION, OVERHEAD, LONGEST = b"\x01", 1 + 8 + 24 + 16, 1 << 20
MINIMUMS = [32, 64, 128, 256, 512, 1024, 2048, 4096]
Context = namedtuple("Context", "tenant collection field record subject")  # None is absent, "" is not

class Refused(Exception):
    """The token does not open. The message is the first check that failed."""

def derive(data_key, label):
    return HKDF(SHA256(), 32, salt=b"fieldseal/v1/data-key", info=label).derive(data_key)

def key_id(data_key):
    return derive(data_key, b"fieldseal/v1/commit")[:8]

def xaes_256_gcm(key, nonce):
    """XAES-256-GCM (C2SP): AES-256-GCM under a key that CMAC derives from the first half of the nonce."""
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    l = int.from_bytes(aes.update(bytes(16)), "big")
    k1 = (l << 1 ^ 0x87 * (l >> 127)) % (1 << 128)
    blocks = [b"\0\1X\0" + nonce[:12], b"\0\2X\0" + nonce[:12]]
    return AESGCM(b"".join(aes.update((int.from_bytes(m, "big") ^ k1).to_bytes(16, "big")) for m in blocks))

def associated_data(header, context):
    presence = sum(1 << bit for bit, part in enumerate(context) if part is not None)
    parts = [(part or "").encode() for part in context]
    prefixed = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    return b"fieldseal/v1/aad\0" + header + bytes([presence]) + prefixed

def step(length):
    """An eighth of the largest power of two that is not above the length."""
    return (1 << length.bit_length() - 1) // 8

def padded_length(length, minimum):
    return minimum if length <= minimum else -(-length // step(length)) * step(length)

def to_text(binary):
    return "fs1." + base64.urlsafe_b64encode(binary).decode().rstrip("=")

def to_binary(text):
    if not re.fullmatch(r"fs1\.[A-Za-z0-9_-]+", text) or len(text) % 4 == 1:
        raise Refused("text")
    binary = base64.urlsafe_b64decode(text[4:] + "=" * (-len(text) % 4))
    if to_text(binary) != text:  # spare bits are set
        raise Refused("text")
    return binary

def seal_padded(data_key, nonce, context, padded, version=VERSION):
    header = version + key_id(data_key)
    cipher = xaes_256_gcm(derive(data_key, b"fieldseal/v1/xaes-256-gcm"), nonce)
    return header + nonce + cipher.encrypt(nonce[12:], padded, associated_data(header, context))

def seal(data_key, nonce, context, value, minimum=32):
    assert minimum in MINIMUMS and 0 < len(value) <= LONGEST and not value.endswith(b" ")
    return seal_padded(data_key, nonce, context, value.ljust(padded_length(len(value), minimum)))

def open_token(data_key, context, text):
    token = to_binary(text)
    header, nonce, sealed, length = token[:9], token[9:33], token[33:], len(token) - OVERHEAD
    if header[:1] != VERSION:
        raise Refused("version")
    if not 32 <= length <= LONGEST or length % step(length) != 0:
        raise Refused("length")
    if header[1:] != key_id(data_key):
        raise Refused("key")
    cipher = xaes_256_gcm(derive(data_key, b"fieldseal/v1/xaes-256-gcm"), nonce)
    try:
        value = cipher.decrypt(nonce[12:], sealed, associated_data(header, context)).rstrip(b" ")
    except InvalidTag:
        raise Refused("tag") from None
    if not value or (length not in MINIMUMS and length != padded_length(len(value), 32)):
        raise Refused("padding")
    return value

KEYS = [bytes(range(32)), bytes(32), b"\xff" * 32, hashlib.sha256(b"fourth data key").digest()]
PLAIN, NAME = Context("acme", "customers", "name", "42", "person-7"), '"Tan Wei Ming"'
CONTEXTS = [("ab", "c", "d", "e", "f"), ("a", "bc", "d", "e", "f"), ("新加坡", "pelanggan", "பெயர்", "é", "e\u0301"),
            ("a.b/c", "a b", '"\\\n\0', "🙂", " "), ("t" * 255, "c" * 256, "f" * 257, "r" * 300, "s" * 600)]
VALUES = ['""', '" "', '"陈伟明"', '"தமிழ்செல்வி"', '"Nur Aisyah binti Abdullah"', '"é"', '"e\u0301"', '"\\u00e9"', '"🙂"',
          '"\\ud800"', '"\\uD83D\\uDE42"', '"\\/\\"\\\\\\n"', "7", "-0.0", "1.10", "1e400",
          "123456789012345678901234567890", "null", "true", '{"a":1}', "[1, 2]", '{"a":1,"a":2}',
          '"ends in spaces  "', '"fs1.AQ"']
LENGTHS = [(length, 32) for length in (31, 32, 33, 36, 37, 63, 64, 65, 127, 128, 129, 1000, 5000)] + [
    (64, 64), (65, 64), (128, 128), (129, 128), (100, 4096)]

def nonces(label):
    return (hashlib.sha256(b"%s %d" % (label, number)).digest()[:24] for number in itertools.count())

def good_cases():
    """Yields (data key, context, minimum, value)."""
    for tenant, record, subject in itertools.product([None, "", "x"], repeat=3):
        yield KEYS[0], Context(tenant, "customers", "name", record, subject), 32, NAME
    yield from ((KEYS[1], Context(*parts), 32, NAME) for parts in CONTEXTS)
    yield from ((KEYS[2], PLAIN, 32, value) for value in VALUES)
    yield from ((KEYS[3], PLAIN, minimum, '"%s"' % ("a" * (length - 2))) for length, minimum in LENGTHS)
    yield from ((KEYS[0], PLAIN, minimum, NAME) for minimum in MINIMUMS)

def refused_cases():
    """Yields (why, data key, context, text); `why` begins with the check that fails."""
    key, other, name, fresh = KEYS[0], KEYS[1], NAME.encode(), nonces(b"refused")
    token = seal(key, b"\xfb\xff" + next(fresh)[2:], PLAIN, name)  # its text has a "-" and a "_"
    long = seal(key, next(fresh), PLAIN, b"1" * 33)  # 85 bytes: 4 spare bits at the end of the text
    wide = seal(key, next(fresh), PLAIN, name, 64)  # 113 bytes: 2 spare bits
    text, body = to_text(token), to_text(token)[4:]
    for check, region, first, last in [
            ("version", "version", 0, 0), ("key", "key id", 1, 8), ("tag", "prefix", 9, 20),
            ("tag", "suffix", 21, 32), ("tag", "ciphertext", 33, 64), ("tag", "tag", 65, 80)]:
        for at, bit in [(first, 7), (last, 0)]:
            flipped = token[:at] + bytes([token[at] ^ 1 << bit]) + token[at + 1:]
            yield f"{check}: bit {bit} of byte {at} flipped, in the {region}", key, PLAIN, to_text(flipped)
    for version in b"\x00", b"\x02", b"\xff":
        sealed = seal_padded(key, next(fresh), PLAIN, name.ljust(32), version)
        yield f"version: {version.hex()}, sealed with that header", key, PLAIN, to_text(sealed)
    for changed in [{part: value} for part in Context._fields for value in ("another", "")] + [
            {"tenant": None}, {"record": None}, {"subject": None}, {"tenant": "Acme"}, {"record": "42 "},
            {"tenant": "42", "record": "acme"}, {"collection": "customer", "field": "sname"}]:
        yield f"tag: opened with {json.dumps(changed)}", key, PLAIN._replace(**changed), text
    for part in "tenant", "record", "subject":
        for before, after in [(None, ""), ("", None), (None, getattr(PLAIN, part))]:
            sealed, opened = (PLAIN._replace(**{part: value}) for value in (before, after))
            why = f"tag: {part} sealed as {json.dumps(before)}, opened as {json.dumps(after)}"
            yield why, key, opened, to_text(seal(key, next(fresh), sealed, name))
    yield "key: another data key", other, PLAIN, text
    yield "tag: another data key and its id", other, PLAIN, to_text(VERSION + key_id(other) + token[9:])
    for why, spellings in {
            "spare bits set": [to_text(bad)[:-1] + chr(ord(to_text(bad)[-1]) + 1) for bad in (long, wide)],
            "= padding": [to_text(long) + "==", to_text(wide) + "=", text + "="],
            "standard alphabet": [text.replace("-", "+"), text.replace("_", "/")],
            "white space": [" " + text, text + " ", text[:50] + " " + text[50:], "fs1. " + body, text + "\t"],
            "newline": ["\n" + text, text + "\n", text[:68] + "\n" + text[68:]],
            "stray character": [text + "\0", text + "\r", text[:-1] + "\uff21", json.dumps(text), text + "." + body],
            "one character left over": [text[:-3], text + "A", "fs1.A"], "nothing": ["", "fs1."],
            "mark": ["fs2." + body, "FS1." + body, "fs1:" + body, "fs1" + body, body, "fs1." + text]}.items():
        yield from (("text: " + why, key, PLAIN, bad) for bad in spellings)
    for why, bad in [
            ("length: header alone", token[:9]), ("length: no ciphertext", token[:33] + token[65:]),
            ("length: last byte cut off", token[:-1]), ("length: tag cut off", token[:-16]),
            ("length: one byte added", token + b"\0"), ("tag: cut off, length allowed", long[:-4]),
            ("tag: cut out, length allowed", long[:33] + long[37:]), ("tag: added, length allowed", token + bytes(4)),
            ("version: one byte before", b"\0" + token)]:
        yield why, key, PLAIN, to_text(bad)
    for check, value, lengths in [
            ("length", b"", [0]), ("length", name, [14, 31, 33, 68, 100, 1025]), ("padding", name, [36, 60, 72]),
            ("padding", b"1" * 33, [40]), ("padding", b"1" * 65, [80, 112]), ("padding", name.ljust(20) + b"\n", [40]),
            ("padding", name.ljust(33) + b"\0", [48]), ("padding", b"", [32, 36, 64, 128])]:
        for length in lengths:
            why = f"{check}: {json.dumps(value.decode())} in {length} bytes, sealed correctly"
            yield why, key, PLAIN, to_text(seal_padded(key, next(fresh), PLAIN, value.ljust(length)))

def generate():
    tokens = [{"data_key": key.hex(), "key_id": key_id(key).hex(), "nonce": nonce.hex(), **context._asdict(),
               "minimum": minimum, "value": value, "token": to_text(seal(key, nonce, context, value.encode(), minimum))}
              for (key, context, minimum, value), nonce in zip(good_cases(), nonces(b"good"))]
    refused = [{"why": why, "data_key": key.hex(), **context._asdict(), "token": text}
               for why, key, context, text in refused_cases()]
    lists = [",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) for entries in (tokens, refused)]
    comment = "fieldseal tokens of version 1: they open for ever, and the refused ones never do. See README.md."
    written = '{"comment": "%s",\n"tokens": [\n%s\n],\n"refused": [\n%s\n]}\n' % (comment, *lists)
    sys.stdout.buffer.write(written.encode())

def require(condition, what):
    if not condition:
        sys.exit("failed: " + what)

def verify(path):
    for byte, bound, expected in [
            (b"\1", b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (b"\3", b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d")]:
        nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
        sealed = xaes_256_gcm(byte * 32, nonce).encrypt(nonce[12:], b"XAES-256-GCM", bound)
        require(sealed.hex() == expected, "vector of C2SP")
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    require(vectors["tokens"] and vectors["refused"], "no vectors")
    for entry in vectors["tokens"]:
        key, nonce, value = bytes.fromhex(entry["data_key"]), bytes.fromhex(entry["nonce"]), entry["value"].encode()
        context = Context(*(entry[part] for part in Context._fields))
        require(key_id(key).hex() == entry["key_id"], f"key id: {entry}")
        require(to_text(seal(key, nonce, context, value, entry["minimum"])) == entry["token"], f"sealing: {entry}")
        require(open_token(key, context, entry["token"]) == value, f"opening: {entry}")
    for entry in vectors["refused"]:
        context, found = Context(*(entry[part] for part in Context._fields)), "opened"
        try:
            open_token(bytes.fromhex(entry["data_key"]), context, entry["token"])
        except Refused as refused:
            found = str(refused)
        require(entry["why"].startswith(found + ":"), f"refusal, found {found}: {entry}")
    print(f"{len(vectors['tokens'])} tokens, {len(vectors['refused'])} refusals: ok")

if __name__ == "__main__":
    if sys.argv[1:] == ["generate"]:
        generate()
    elif len(sys.argv) == 3 and sys.argv[1] == "verify":
        verify(sys.argv[2])
    else:
        sys.exit(__doc__)
