"""Signatures of AWS over each request, and the credentials that they are made with.

Credentials are found as the AWS CLI finds them: environment, profile, SSO, web identity, the container's or
the instance's role. That may ask the disk or the network, so it is done in a thread, once for all calls that
wait; those that end are renewed beforehand while calls go on with the old ones. Where none are found, that is
told and looked for again after `RETRY_S`.

botocore is imported when the first signer is made.

Source: AWS Signature Version 4 for API requests (read 2026-11-26); botocore 1.44 `auth`, `credentials`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from serve.upstream.sign import Unsigned
from serve.upstream.transport import Head

SERVICE: Final = "bedrock"
RETRY_S: Final = 10.0
"""How long one failure to find credentials stands for all."""
LARGE: Final = 256 << 10
"""Bytes of a body whose digest is made in a thread: hashing lets go of the interpreter's lock."""
_LATE_S: Final = 60
"""Seconds before their end from which credentials are not used any more."""


class SigV4:
    """`serve.upstream.sign.Signer` by AWS Signature Version 4.

    Parameters
    ----------
    region
        That the calls are signed for.
    find
        Gives botocore credentials or None; may block. By default, botocore's own chain.
    """

    def __init__(self, region: str, find: Callable[[], Any] | None = None) -> None:
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        self._auth = SigV4Auth
        self._request = AWSRequest
        self._region = region
        self._find = find or _chain()
        self._source: Any = None
        self._held: Any = None
        self._looking: asyncio.Task[None] | None = None
        self._failed: tuple[float, str] | None = None

    async def signed(self, head: Head, body: bytes) -> Head:
        """Give the head with date, signature and, of temporary credentials, their token.

        Raises
        ------
        Unsigned
            There are no credentials, or those there are have ended and cannot be renewed.
        """
        if self._held is None or self._ends_within(None):
            await self._renew()
        credentials = self._held
        if len(body) > LARGE:
            return await asyncio.to_thread(self._sign, head, body, credentials)
        return self._sign(head, body, credentials)

    async def aclose(self) -> None:
        """Let go of a renewal under way; its thread ends by itself."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _sign(self, head: Head, body: bytes, credentials: Any) -> Head:
        # What proxies and the transport add or change is not signed.
        request = self._request(
            method="POST",
            url=head.url,
            data=body,
            headers={"content-type": head.headers["content-type"], "host": urlsplit(head.url).netloc},
        )
        self._auth(credentials, SERVICE, self._region).add_auth(request)
        made = {
            "x-amz-date": request.headers["X-Amz-Date"],
            "authorization": request.headers["Authorization"],
        }
        token = request.headers.get("X-Amz-Security-Token")
        if token is not None:
            made["x-amz-security-token"] = token
        return Head(head.url, {**head.headers, **made})

    def _ends_within(self, seconds: int | None) -> bool:
        """Whether the credentials end within so many seconds; None: soon enough to renew them."""
        needed = getattr(self._source, "refresh_needed", None)
        return needed is not None and bool(needed() if seconds is None else needed(seconds))

    async def _renew(self) -> None:
        """Have credentials that can be used: wait only where those held cannot."""
        if self._failed is None or time.monotonic() - self._failed[0] >= RETRY_S:
            if self._looking is None:
                self._looking = asyncio.create_task(self._look(), name="aws-credentials")
            if not self._usable():
                # The look outlives a caller that leaves: others may wait for it.
                await asyncio.wait([self._looking])
        if not self._usable():
            raise Unsigned(self._failed[1] if self._failed is not None else "no AWS credentials")

    def _usable(self) -> bool:
        return self._held is not None and not self._ends_within(_LATE_S)

    async def _look(self) -> None:
        try:
            self._source, self._held = await asyncio.to_thread(self._found)
            # botocore keeps the old ones where their early renewal fails.
            late = self._ends_within(None)
            self._failed = (time.monotonic(), "AWS credentials could not be renewed") if late else None
        except Exception as error:  # noqa: BLE001 - its chain asks files, programs, hosts; each has its own errors
            self._failed = time.monotonic(), f"no AWS credentials: {type(error).__name__}: {error}"
        finally:
            self._looking = None

    def _found(self) -> tuple[Any, Any]:
        source = self._source if self._source is not None else self._find()
        if source is None:
            raise LookupError(
                "none in the environment, the profiles or a role; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        return source, source.get_frozen_credentials()


def _chain() -> Callable[[], Any]:
    """Botocore's own chain, asked anew with each call; its modules are loaded now."""
    from botocore.session import Session  # noqa: PLC0415

    return lambda: Session().get_credentials()
