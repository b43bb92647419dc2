"""AES-256-GCM of the Python package `cryptography`, as its documentation has it: the best that Python offers."""

import base64
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from python_measure import main

cipher = AESGCM(bytes([7]) * 32)


def encrypt(field, text):
    nonce = os.urandom(12)
    sealed = cipher.encrypt(nonce, text.encode(), field.encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def decrypt(field, token):
    sealed = base64.urlsafe_b64decode(token)
    return cipher.decrypt(sealed[:12], sealed[12:], field.encode()).decode()


main("Python cryptography", encrypt, decrypt)
