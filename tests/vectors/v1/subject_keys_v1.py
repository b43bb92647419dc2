"""Reference implementation of the entries of a key table, version 1, which wrote subject_keys.json. Needs the package
`cryptography`.

    python3 subject_keys_v1.py > subject_keys.json
"""
import json, sys

from token_v1 import Context, derive, key_id, seal, to_text, xaes_256_gcm

DATA_KEY, NONCE = b"\x07" * 32, bytes(range(24))
ERASED_AT = 1_795_683_600  # 2026-11-26T09:00:00Z

def part(text):
    return len(text).to_bytes(2, "big") + text

def commitment(subject_key):
    return derive(subject_key, b"fieldseal/v1/commit")

def entry(data_key, subject_key, nonce, tenant, subject):
    head = key_id(data_key) + commitment(subject_key)
    bound = bytes([tenant is not None]) + part((tenant or "").encode()) + part(subject.encode())
    cipher = xaes_256_gcm(derive(data_key, b"fieldseal/v1/wrap-subject"), nonce)
    sealed = cipher.encrypt(nonce[12:], subject_key, b"fieldseal/v1/subject-key\0" + head + bound)
    return b"\x01" + head + nonce + sealed

def tombstone(subject_key, erased_at):
    return b"\x02" + commitment(subject_key) + erased_at.to_bytes(8, "big")

vectors = []
for number, (tenant, subject) in enumerate([(None, "7"), ("acme", "7"), ("t" * 1024, "新加坡-陈伟明")]):
    subject_key = bytes([0x30 + number]) * 32
    token = seal(subject_key, NONCE, Context(tenant, "customers", "phone", None, subject), b'"+65 9123 4567"')
    vectors.append(dict(data_key=DATA_KEY.hex(), tenant=tenant, subject=subject,
                        entry=entry(DATA_KEY, subject_key, NONCE, tenant, subject).hex(), token=to_text(token),
                        value='"+65 9123 4567"', tombstone=tombstone(subject_key, ERASED_AT).hex(),
                        erased_at="2026-11-26T09:00:00Z"))
json.dump(vectors, sys.stdout, indent=2, ensure_ascii=False)
print()
