"""The installer: a shell script that enrols the machine it runs on.

It reads what the machine has, or takes it from the environment, and sends one request; it installs nothing
and changes nothing. Whoever fetches it with an API key has a token made for it that one node can use
[docs page]; a provisioning token in the query serves as it is.
"""

from __future__ import annotations

from shlex import quote

from simulator.domain import access, workload
from simulator.kernel.instant import HOUR_MS
from simulator.kernel.operation import Call, Content, Principal
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from simulator.resources.provider import tokens
from simulator.resources.provider.lifecycle import area

SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
}
"""What `gpu` may be, in any case [choice]."""


@area.operation("providerBootstrap", feature="", effects="a script; with a key, a new single-use token")
def provider_bootstrap(call: Call) -> Content:
    """401 and 403 first, then 400, then what is wrong with the service [choice]. Holds a secret, so it is
    never cached [2026-07]."""
    world, secret = call.world, call.query.get("token")
    caller = None
    if secret:
        tokens.presented(world, secret)
    else:
        caller = _authorized(call)
    runtime = "qemu" if _passthrough(call) else "gvisor"
    name = workload.check_name(call.query.get("name") or "bootstrap")
    _check_installer(world)
    if caller is not None:
        secret = _mint(world, caller, name)
    words = {"url": call.origin, "token": secret, "runtime": runtime}
    settings = "".join(f"{word}={quote(value or '')}\n" for word, value in words.items())
    script = HEAD + settings + BODY
    return Content(script.encode(), "text/x-shellscript", {"Cache-Control": "no-store"})


def _authorized(call: Call) -> Principal:
    """Whoever may make a token may have one made."""
    making = area.operations["generateProvisioningToken"]
    caller = access.authenticate(call.world, call.headers)
    access.authorize(call.world, making, caller, caller.organization_id)
    access.check_feature(call.world, making, caller.organization_id)
    if access.is_deleted(call.world, caller.organization_id):
        raise Refusal("forbidden", f"organization {caller.organization_id!r} has been deleted")
    return caller


def _passthrough(call: Call) -> bool:
    """Whether GPUs are to be passed through to VMs."""
    given = call.query.get("gpu", "")
    if given.lower() not in SWITCH:
        known = ", ".join(filter(None, SWITCH))
        raise Refusal("bad_request", f"gpu {given[:80]!r} is neither true nor false; take one of {known}")
    return SWITCH[given.lower()]


def _check_installer(world: World) -> None:
    state = world.settings.word("provider.installer")
    if state == "unconfigured":
        raise Refusal("unavailable", "onboarding of providers is not configured (provider.installer)")
    if state == "missing":
        raise Refusal("bad_gateway", "the installer is missing upstream (provider.installer)")


def _mint(world: World, caller: Principal, name: str) -> str:
    """A token of the usual life for one node."""
    expires_at_ms = world.now_ms + tokens.DEFAULT_HOURS * HOUR_MS
    secret, _ = tokens.mint(
        world, caller.organization_id, expires_at_ms=expires_at_ms, name=name, max_nodes=1
    )
    access.remember_use(world, caller)
    return secret


HEAD = """\
#!/bin/sh
# Enrols this machine as a node of a simulated cloud. It reads what the machine has and sends one request;
# it installs nothing and changes nothing. What it reads can be given instead:
#   OPENRELAY_HOSTNAME  OPENRELAY_CPU_CORES  OPENRELAY_RAM_GB  OPENRELAY_DISK_FREE_GB
#   OPENRELAY_GPUS      a PCI id for each GPU, as 10de:2684; empty for none
set -eu
"""

BODY = r"""
fail() {
    echo "$*" >&2
    exit 1
}

hostname=$(printf %s "${OPENRELAY_HOSTNAME:-$(uname -n)}" | tr -cd 'A-Za-z0-9.-')
cores=${OPENRELAY_CPU_CORES:-$(getconf _NPROCESSORS_ONLN)}
ram=${OPENRELAY_RAM_GB:-$(awk '/^MemTotal:/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo)}
disk=${OPENRELAY_DISK_FREE_GB:-$(df -Pk / | awk 'NR == 2 { print int($4 / 1048576) }')}

# Display and 3D controllers of NVIDIA and AMD; "none" means that nothing could look for them.
source=lspci
if [ -n "${OPENRELAY_GPUS+given}" ]; then
    gpus=$OPENRELAY_GPUS
elif command -v lspci >/dev/null; then
    gpus=$(lspci -n | awk '$2 ~ /^(03|12)/ && $3 ~ /^(10de|1002):/ { print $3 }')
else
    gpus=
    [ "$runtime" = gvisor ] || source=none
fi

for number in "$cores" "$ram" "$disk"; do
    case $number in
    '' | *[!0-9]*) fail "$number is not a whole number" ;;
    esac
done
[ "$disk" -ge 20 ] || fail "$disk GB of disk are free; a node needs 20"
[ "$disk" -ge 50 ] || echo "only $disk GB of disk are free; 50 are better" >&2

devices=
for gpu in $gpus; do
    case $gpu in
    *[!0-9A-Fa-f:]*) fail "$gpu is not a PCI id such as 10de:2684" ;;
    esac
    devices="$devices${devices:+,}{\"pciDeviceId\":\"$gpu\",\"count\":1}"
done

machine=$(cat /etc/machine-id 2>/dev/null || echo "$hostname")
fingerprint=$(printf %s "$machine $hostname" | cksum | tr -cd '0-9')
body="{\"token\":\"$token\",\"hostname\":\"$hostname\",\"hardwareFingerprint\":\"$fingerprint\""
body="$body,\"nebulaPubkey\":\"simulated\",\"cpuCores\":$cores,\"ramGb\":$ram,\"runtime\":\"$runtime\""
body="$body,\"gpuInventory\":{\"version\":1,\"source\":\"$source\",\"nvswitchCount\":0,\"devices\":[$devices]}}"

# The token goes through a pipe, so that no list of processes shows it.
answer=$(printf %s "$body" | curl -sS -X POST -H 'Content-Type: application/json' --data-binary @- \
    -w '\n%{http_code}' "$url/v1/nodes/enroll") || fail "$url cannot be reached"
case $answer in
*'
200')
    node=$(printf %s "$answer" | sed -n 's/.*"nodeId":"\([^"]*\)".*/\1/p')
    echo "$hostname is enrolled as node $node"
    ;;
*) fail "enrolment was refused: $answer" ;;
esac
"""
