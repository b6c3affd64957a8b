"""A name that leads to a link-local or metadata address is not called, unless it is that address itself."""

from ipaddress import ip_network

import pytest

from p402.ports import Completion, Failure
from serve.upstream import address
from serve.upstream.address import is_refused
from tests.serve.upstream.loopback import loopback, run
from tests.serve.upstream.test_client import WHOLE, call, upstream

pytestmark = pytest.mark.usefixtures("hand")


@pytest.mark.parametrize(
    "found",
    ["169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
     "100.100.100.200"],
)  # fmt: skip
def test_metadata_and_link_local_addresses_are_refused_to_names_and_not_to_themselves(found: str) -> None:
    for name in ("metadata.google.internal", "api.example.com", "2852039166", "0xa9fea9fe"):
        assert is_refused(name, found)
    assert not is_refused(found, found)


@pytest.mark.parametrize(
    "found", ["127.0.0.1", "::1", "10.0.0.7", "192.168.1.2", "172.17.0.2", "fd00::1", "1.1.1.1"]
)
def test_private_networks_are_the_operators_own(found: str) -> None:
    assert not is_refused("gpu-7.internal", found)


def test_a_name_that_leads_there_is_sent_nothing_and_the_address_itself_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loopback stands in for what no test can reach."""
    monkeypatch.setattr(address, "REFUSED", (ip_network("127.0.0.0/8"), ip_network("::1/128")))

    async def scene() -> None:
        async with loopback(lambda x: x.json(WHOLE)) as provider:
            by_name = upstream(provider.url.replace("127.0.0.1", "localhost"))
            answer = await by_name.complete(call())
            assert isinstance(answer, Failure)
            assert (answer.code, answer.fail_over, answer.of_provider) == ("PROVIDER_ERROR", True, True)
            assert "link-local" in answer.message
            assert (provider.requests, by_name.connections()) == ([], 0)
            await by_name.aclose()
            as_it_is = upstream(provider.url)
            assert isinstance(await as_it_is.complete(call()), Completion)
            await as_it_is.aclose()

    run(scene())
