"""An account of Google Cloud: a service account's key file, or whatever account the machine has.

Over google-auth, which the extra `vertex` brings, and which is imported only where a provider is configured
for it. What it says goes to clients, so it names no path and quotes no sentence. It knows nothing of calls.

Source: google-auth 2.62 (read 2026-11-26).
"""

import time
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from p402.errors import ConfigError
from serve.upstream.renewal import AHEAD_S, Granted
from serve.upstream.sign import Unsigned

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
PATIENCE_S: Final = 10.0
"""For one answer of a token server."""


class GoogleAccount:
    """`serve.upstream.renewal.Account`.

    Parameters
    ----------
    credentials
        A service account's key file; None takes the machine's application default credentials, which are
        looked for with the first call.
    where
        The dotted name of the provider's table, for messages to the operator.

    Raises
    ------
    ConfigError
        The file cannot be read, or is no key of a service account.
    ImportError
        google-auth is not installed.
    """

    def __init__(self, credentials: Path | None, where: str) -> None:
        import google.auth  # noqa: F401, PLC0415

        self._found: Any = None if credentials is None else _service_account(credentials, where)
        self._client = httpx.Client(timeout=PATIENCE_S, trust_env=False)

    def granted(self) -> Granted:
        """Fetch a new token."""
        from google.auth import exceptions  # noqa: PLC0415

        try:
            return self._new()
        except exceptions.DefaultCredentialsError:
            raise Unsigned("this machine has no application default credentials of Google Cloud") from None
        except exceptions.TransportError:
            raise Unsigned("Google's token server cannot be reached") from None
        except exceptions.RefreshError as error:
            raise Unsigned(f"Google's token server gave no token ({_word(error)})") from None
        except (exceptions.GoogleAuthError, ValueError, TypeError, KeyError, OSError) as error:
            raise Unsigned(f"no token of Google's could be fetched ({type(error).__name__})") from None

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _new(self) -> Granted:
        if self._found is None:
            import google.auth  # noqa: PLC0415

            self._found, _ = google.auth.default(scopes=SCOPES, request=self._send)
        account = self._found
        account.refresh(self._send)
        token, project = account.token, account.quota_project_id
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise ValueError("a token that no header can carry")
        headers = {"authorization": f"Bearer {token}"}
        if isinstance(project, str):
            headers["x-goog-user-project"] = project
        ends = account.expiry
        return Granted(
            headers, time.time() + AHEAD_S if ends is None else ends.replace(tzinfo=UTC).timestamp()
        )

    def _send(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> "_Response":
        """`google.auth.transport.Request`: no proxy of the environment, no redirects."""
        from google.auth import exceptions  # noqa: PLC0415

        wait_s = min(timeout or PATIENCE_S, PATIENCE_S)
        try:
            answer = self._client.request(method, url, content=body, headers=headers, timeout=wait_s)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise exceptions.TransportError(type(error).__name__) from None
        return _Response(answer)


class _Response:
    """`google.auth.transport.Response`."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self.data = answer.content


def _service_account(path: Path, where: str) -> Any:
    from google.auth import exceptions  # noqa: PLC0415
    from google.oauth2 import service_account  # noqa: PLC0415

    try:
        info = orjson.loads(path.read_bytes())
        if not isinstance(info, dict) or info.get("type") != "service_account":
            raise ConfigError(
                f"{where}.credentials: {path} is no service account's key file; expected JSON with `type` "
                "`service_account`; for other credentials set GOOGLE_APPLICATION_CREDENTIALS, and leave "
                "the setting out"
            )
        return service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    except OSError as error:
        raise ConfigError(
            f"{where}.credentials: {path} cannot be read ({error.strerror}); expected a service account's "
            "key file; check the path"
        ) from None
    except (ValueError, TypeError, exceptions.GoogleAuthError):  # whose text may hold the key
        raise ConfigError(
            f"{where}.credentials: {path} is no whole key file; expected a service account's JSON with its "
            "private key; download it again"
        ) from None


def _word(error: Exception) -> str:
    """The server's code, such as `invalid_grant`; its sentences may hold what was sent."""
    reply = error.args[1] if len(error.args) > 1 else None
    word = reply.get("error") if isinstance(reply, Mapping) else None
    return word if isinstance(word, str) and word.isidentifier() and len(word) <= 40 else "no reason given"
