"""Lets a Java from pip trust whom this Python trusts: it knows nothing of the machine's own CAs."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
)

# Where a machine behind a TLS-inspecting proxy names its certificates, most common first.
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
PASSWORD = "changeit"  # noqa: S105 - Java's own default; the store holds nothing secret


def trust_options(environment: Mapping[str, str], folder: Path) -> list[str]:
    """JVM options that make Java trust this Python's certificate authorities.

    Args:
        environment: the variables of `BUNDLES` are read from it.
        folder: the trust store is written there.

    Returns:
        The options; none if Python has no list of authorities to hand on.
    """
    bundle = next((environment[name] for name in BUNDLES if environment.get(name)), None)
    if bundle and not os.path.isfile(bundle):  # noqa: PTH113 - may be any text
        bundle = None
    context = ssl.create_default_context(cafile=bundle)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some old authorities are not quite to the letter
        authorities = [
            PKCS12Certificate(x509.load_der_x509_certificate(der), f"ca{number}".encode())
            for number, der in enumerate(context.get_ca_certs(binary_form=True))
        ]
    if not authorities:
        return []
    store = folder / "trust.p12"
    store.write_bytes(
        serialize_java_truststore(authorities, BestAvailableEncryption(PASSWORD.encode()))
    )
    return [
        f"-Djavax.net.ssl.trustStore={store}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
    ]
