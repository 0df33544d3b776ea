"""IP addresses of replicas and devices, as far as policies can see them.

Nodes have blocks of pod addresses in the order of the scenario, one /24 for every 253 replicas and clients on a node:
10.244.0.0/24 for the first and so on (Kubernetes' usual pod network); in a scenario that needs more than 3072 blocks
they begin at 10.0.0.0. A host's number on its node counts from .2, replicas first, in the order of the scenario, for .1
is the node's. Devices with a radio have addresses from 100.64.0.1 upwards (RFC 6598), in the order of the fleets; where
a handover changes the address, the next one is as many further as there are such devices.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from meshsim.world.hosts import Device

if TYPE_CHECKING:
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

PODS: Final = int(IPv4Address("10.244.0.0"))
MANY_PODS: Final = int(IPv4Address("10.0.0.0"))
BLOCK: Final = 256
HOSTS_IN_BLOCK: Final = 253
DEVICES: Final = int(IPv4Address("100.64.0.0"))
DEVICES_IN_POOL: Final = 2**22 - 2


class Addresses:
    """The address of every host; made once the world has all of them."""

    def __init__(self, state: State) -> None:
        self._radios = state.scenario.network.radios
        on_node: dict[str, list[str]] = {name: [] for name in state.machines}
        with_radio: list[str] = []
        for replica in state.replicas:
            on_node[replica.machine.name].append(replica.name)
        for fleet in state.devices.values():
            for device in fleet:
                (with_radio if device.radio is not None else on_node[device.machine.name]).append(device.name)
        blocks = {name: -(-len(hosts) // HOSTS_IN_BLOCK) for name, hosts in on_node.items()}
        needed = sum(max(1, count) for count in blocks.values())
        base = PODS if needed <= 12 * 256 else MANY_PODS
        assert needed <= 2**16, f"{needed} blocks of addresses do not fit into 10.0.0.0/8"
        self._of_pods: dict[str, int] = {}
        for name, hosts in on_node.items():
            for number, host in enumerate(hosts):
                block, place = divmod(number, HOSTS_IN_BLOCK)
                self._of_pods[host] = base + block * BLOCK + 2 + place
            base += max(1, blocks[name]) * BLOCK
        self._of_devices = {name: number for number, name in enumerate(with_radio)}

    def of(self, host: Host) -> str:
        """Return the present address of a host."""
        number = self._of_pods.get(host.name)
        if number is None:
            assert isinstance(host, Device), host.name
            changes = host.moves if self._radios[host.radio_name].handover_changes_address else 0
            drawn = self._of_devices[host.name] + changes * len(self._of_devices)
            number = DEVICES + 1 + drawn % DEVICES_IN_POOL
        return str(IPv4Address(number))
