"""How a catalogue is written as bytes and read back, in a few ms.

One JSON object: format, version, day, sources, aliases, and deployments as arrays in the order of
`model.Deployment`'s fields, one a line so that a diff can be read. Fields are only ever added at
the end, with a default. The version is the SHA-256 of everything else, so a torn or edited file
is told from a sound one.
It knows nothing of files.
"""

import hashlib
from typing import Final

import msgspec

from p402.catalog.model import Catalog, Deployment, Source

FORMAT: Final = 1


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    version: str
    built_on: str
    sources: dict[str, Source]
    aliases: dict[str, str]
    deployments: tuple[Deployment, ...]


_decoder = msgspec.json.Decoder(_File)


def parse(data: bytes) -> Catalog:
    """Read a catalogue.

    Raises
    ------
    ValueError
        The bytes are not a catalogue of this format, or its version is not the hash of its contents.
    """
    try:
        file = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a catalogue: {error}; expected format {FORMAT}") from error
    if file.format != FORMAT:
        raise ValueError(f"catalogue format {file.format} found, {FORMAT} expected; build the catalogue anew")
    body = data.partition(b"\n")[2]
    if file.version != _version(body):
        raise ValueError(
            f"catalogue {file.version} has other contents than its version says; restore the file"
        )
    return Catalog(file.version, file.built_on, file.sources, file.aliases, file.deployments)


def dump(catalog: Catalog) -> bytes:
    """Write a catalogue: the same catalogue, the same bytes. Its `version` is computed, not copied."""
    encode = msgspec.json.Encoder(order="sorted").encode
    rows = b",\n".join(encode(d) for d in sorted(catalog.deployments, key=lambda d: d.id))
    body = b'"built_on":%b,\n"sources":%b,\n"aliases":%b,\n"deployments":[\n%b\n]}\n' % (
        encode(catalog.built_on),
        encode(dict(catalog.sources)),
        encode(dict(catalog.aliases)),
        rows,
    )
    return b'{"format":%d,"version":%b,\n%b' % (FORMAT, encode(_version(body)), body)


def _version(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
