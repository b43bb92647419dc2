"""The AWS Encryption SDK for Python with a raw keyring, so without a key service, and without signatures."""

import base64

import aws_encryption_sdk
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy

from python_measure import main

client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
keyring = providers.create_raw_aes_keyring(
    input=CreateRawAesKeyringInput(
        key_namespace="peers",
        key_name="key",
        wrapping_key=bytes([7]) * 32,
        wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
    )
)


def encrypt(field, text):
    sealed, _ = client.encrypt(
        source=text.encode(),
        keyring=keyring,
        encryption_context={"field": field},
        algorithm=AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    )
    return base64.urlsafe_b64encode(sealed).decode()


def decrypt(field, token):
    text, _ = client.decrypt(
        source=base64.urlsafe_b64decode(token), keyring=keyring, encryption_context={"field": field}
    )
    return text.decode()


# Each value costs it milliseconds, so a few records show its rate.
main("AWS Encryption SDK for Python", encrypt, decrypt, share=100)
