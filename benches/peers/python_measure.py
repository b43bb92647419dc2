"""The measuring that the Python peers share: medians of seven runs over all records, checked once."""

import json
import statistics
import sys
import time

FIELDS = ("name", "phone", "email", "address", "card_last4", "national_id")


def rate(records, work):
    """Returns what `work` makes of all records, and the median of how many of them it does in a second."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        results = [work(record) for record in records]
        times.append(time.perf_counter() - start)
    return results, len(records) / statistics.median(times)


def main(name, encrypt, decrypt, share=1):
    """Measures both ways on the file that the first argument names, or on every `share`th record of it.

    `encrypt` and `decrypt` take the name of a field and a text, and return a text.
    """
    with open(sys.argv[-1], "rb") as file:
        records = file.read().splitlines()[::share]

    def through(change):
        def record_through(text):
            record = json.loads(text)
            for field in FIELDS:
                record[field] = change(field, record[field])
            return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()

        return record_through

    stored, encrypted = rate(records, through(encrypt))
    opened, decrypted = rate(stored, through(decrypt))
    assert all(json.loads(before) == json.loads(after) for before, after in zip(records, opened, strict=True))
    assert not any(b"Bishan" in record for record in stored)
    print(f"peer {name} {encrypted:.0f} {decrypted:.0f}")
