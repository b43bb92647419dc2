"""Reference implementation of the keyring document, version 1, which wrote keyring.json. Needs the package `cryptography`.

    python3 keyring_v1.py > keyring.json
"""
import base64, hashlib, hmac, json, sys

from token_v1 import HKDF, SHA256, derive, xaes_256_gcm

FORMAT, NAME, REVISION = "fieldseal/keyring/1", "customers", 11
KEK, AUTHENTICATION_KEY = b"\x07" * 32, b"\x05" * 32
ENTRIES = [("shredded", "2025-12-31T23:59:59Z"), ("forgotten", "2025-12-31T23:59:59Z"),
           ("disabled", "2026-01-01T00:00:00Z"), ("enabled", "2026-02-28T00:00:00Z"),
           ("primary", "2026-11-24T03:41:00Z"), ("pending", "2028-02-29T12:34:56Z")]
TIMING = dict(refresh=60, lease=120, longest_request=60, clock_skew=30, rehearsal=604800)
SCHEDULE = dict(rotate_every=7776000, lifetime=31536000)
RELIEVED, SCANS = "2026-11-24T03:41:00Z", ["2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"]
RECEIPT = "local: file removed at 2026-12-01T00:00:00Z"

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
keys, changes, drawn = [], [], 0
for number, (state, created) in enumerate(ENTRIES):
    key = bytes([0x20 + number]) * 32
    commitment = derive(key, b"fieldseal/v1/commit")
    entry = dict(id=commitment[:8].hex(), commitment=commitment.hex(), state=state, created=created, changed=created)
    if state in ("shredded", "forgotten", "disabled", "enabled"):
        entry["relieved"] = RELIEVED
    if state in ("shredded", "forgotten", "disabled"):
        entry["clean_scans"] = SCANS
    entry["kek"] = kek
    if state not in ("shredded", "forgotten"):
        drawn += 1
        entry["wrapped"] = to_base64(wrap(key, bytes([drawn]) * 24, b"data-key", commitment[:8]))
    if state == "shredded":
        entry["receipt"] = RECEIPT
    keys.append(entry)
    changes.append(dict(revision=6 + number, at=created, by="\u9648\u4f1f\u660e <wm@example.sg>",
                        why='a "quarterly" rotation', action="added", key=entry["id"]))
del changes[-1]["key"]
wrapped = wrap(AUTHENTICATION_KEY, bytes([drawn + 1]) * 24, b"keyring-authentication")
document = dict(format=FORMAT, name=NAME, revision=REVISION, timing=TIMING, schedule=SCHEDULE,
                authentication=dict(kek=kek, wrapped=to_base64(wrapped)), keys=keys, changes=changes)
# RFC 8785, for documents whose member names are ASCII and whose numbers are integers.
canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
document["mac"] = hmac.new(AUTHENTICATION_KEY, b"fieldseal/v1/keyring\0" + canonical, hashlib.sha256).hexdigest()
sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
