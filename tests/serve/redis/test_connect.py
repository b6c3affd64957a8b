"""Which way a url leads."""

import uvloop

from serve.redis.address import Address, ClusterAddress
from serve.redis.cluster import ClusterDoor
from serve.redis.connect import Way, way_to
from serve.redis.door import Door


def test_a_way_is_a_door_or_one_of_many_as_the_url_says() -> None:
    async def scene() -> None:
        kinds = {}
        for url in ("redis://h", "rediss://h", "unix:///s", "redis+cluster://h,i", "rediss+cluster://h"):
            way: Way = way_to(url, name="p402:test")
            kinds[url] = (type(way), way.clustered)
            await way.aclose()
        assert set(list(kinds.values())[:3]) == {(Door, False)}
        assert set(list(kinds.values())[3:]) == {(ClusterDoor, True)}
        many = way_to("rediss+cluster://:p@h:7")
        assert isinstance(many, ClusterDoor)
        link = many._door(("10.0.0.1", 9))._link
        assert link.address == ClusterAddress((Address("h", 7, tls=True, password="p"),)).node("10.0.0.1", 9)
        assert link._tls is not None
        assert link._tls is many._door(("10.0.0.2", 9))._link._tls  # trust is read once
        await many.aclose()

    uvloop.run(scene())
