"""Reference implementation of the keyring document, version 1, which wrote keyring.json. Needs the package `cryptography`.

    python3 keyring_v1.py > keyring.json
"""
import base64, calendar, hashlib, hmac, json, sys, time

from token_v1 import HKDF, SHA256, derive, xaes_256_gcm

FORMAT, NAME, REVISION = "fieldseal/keyring/1", "customers", 11
KEK, AUTHENTICATION_KEY = b"\x07" * 32, b"\x05" * 32
ENTRIES = [("forgotten", "2025-12-31T23:59:59Z"), ("disabled", "2026-01-01T00:00:00Z"),
           ("enabled", "2026-02-28T00:00:00Z"), ("primary", "2026-11-24T03:41:00Z"), ("pending", "2028-02-29T12:34:56Z")]

def part(text):
    return len(text).to_bytes(2, "big") + text

def from_kek(label, length):
    return HKDF(SHA256(), length, salt=b"fieldseal/v1/local-kek", info=label).derive(KEK)

def wrap(key, nonce, purpose, key_id=b""):
    context = part(NAME.encode()) + part(purpose) + part(key_id)
    cipher = xaes_256_gcm(from_kek(b"fieldseal/v1/wrap-data-key", 32), nonce)
    return b"\x01" + nonce + cipher.encrypt(nonce[12:], key, b"fieldseal/v1/wrap\0" + context)

def to_base64(binary):
    return base64.b64encode(binary).decode()

kek = "local:" + from_kek(b"fieldseal/v1/local-kek-fingerprint", 8).hex()
keys, coded, drawn = [], b"", 0
for number, (state, created) in enumerate(ENTRIES):
    key = bytes([0x21 + number]) * 32
    commitment, wrapped = derive(key, b"fieldseal/v1/commit"), b""
    entry = dict(id=commitment[:8].hex(), commitment=commitment.hex(), state=state, created=created, kek=kek)
    if state != "forgotten":
        drawn += 1
        wrapped = wrap(key, bytes([drawn]) * 24, b"data-key", commitment[:8])
        entry["wrapped"] = to_base64(wrapped)
    keys.append(entry)
    seconds = calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ"))
    coded += commitment + part(state.encode()) + seconds.to_bytes(8, "big") + part(kek.encode())
    coded += bytes(["wrapped" in entry]) + part(wrapped)
wrapped = wrap(AUTHENTICATION_KEY, bytes([drawn + 1]) * 24, b"keyring-authentication")
coded = (b"fieldseal/v1/keyring\0" + part(FORMAT.encode()) + part(NAME.encode()) + REVISION.to_bytes(8, "big")
         + part(kek.encode()) + part(wrapped) + len(keys).to_bytes(4, "big") + coded)
mac = hmac.new(AUTHENTICATION_KEY, coded, hashlib.sha256).hexdigest()
document = dict(format=FORMAT, name=NAME, revision=REVISION,
                authentication=dict(kek=kek, wrapped=to_base64(wrapped)), keys=keys, mac=mac)
sys.stdout.write(json.dumps(document, indent=2))
