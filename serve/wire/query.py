"""What a request's query says: names that are known, each at most once, as text."""

from urllib.parse import parse_qsl

from p402.errors import InvalidInput, nearest


def parse_query(query: bytes, known: tuple[str, ...]) -> dict[str, str]:
    """Values by name; an empty value counts as sent.

    Raises
    ------
    InvalidInput
        A name is unknown or comes twice, or the query is not percent-encoded UTF-8 text.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=len(known) + 8
        )
    except ValueError:
        raise InvalidInput(
            "the query is not a few percent-encoded UTF-8 texts; "
            f"expected {_named(known)}, percent-encoded, and nothing else"
        ) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise InvalidInput(
                f"{name[:64]}: unknown query parameter; expected {_named(known)}{nearest(name[:64], known)}",
                param=name[:64],
            )
        if name in found:
            raise InvalidInput(f"{name}: found it twice, expected it once; send one", param=name)
        found[name] = value
    return found


def _named(known: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in known) or "none"
