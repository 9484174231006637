"""Bad days of the cloud behind the API: no capacity, nodes that go, starts that fail, sick clusters."""

from __future__ import annotations

from typing import Any

from tests.scenarios import stories_of_money_and_time
from tests.scenarios.client import Client, Post, Refused, Story

GPU = "rtx-3090"
MINUTE_S = 60
OVER = ("running", "failed", "stopped", "terminated")
"""Where a start ends, one way or the other."""


def use(client: Client, vm_id: str, minutes: int) -> None:
    """Work on a VM for a while, then let it go."""
    client.sleep(minutes * MINUTE_S)
    client.terminate(vm_id)


class CapacityExhausted:
    careless_breaks = ("calls", "event")

    def careless(self, client: Client) -> None:
        """Sees free GPUs, and asks for one of them until its patience is over."""
        for _ in range(30):
            try:
                vm = client.create("trainer")
            except Refused:
                client.sleep(10)
                continue
            client.wait_for(vm["id"], *OVER)
            use(client, vm["id"], minutes=60)
            return

    def careful(self, client: Client) -> None:
        """Takes the next model that can be had."""
        try:
            vm = client.create("trainer")
        except Refused as refused:
            if refused.code != "INSUFFICIENT_GPU_CAPACITY":
                raise
            model = self.first_to_be_had(client, "rtx-4090", "l4", "rtx-3090")
            vm = client.create("trainer", gpuModelId=model)
        client.wait_for(vm["id"], *OVER, every_s=15)
        use(client, vm["id"], minutes=60)

    def first_to_be_had(self, client: Client, *models: str) -> str:
        rows = {row["gpuModelId"]: row["vm"] for row in client.ask("GET", "/v1/gpu-availability")}
        return next(model for model in models if 1 in rows[model]["placeableGpuCounts"])


class NodeLost:
    careless_breaks = ("leaks",)

    def careless(self, client: Client) -> None:
        """Takes `interrupted` for the end, starts another VM, and forgets the first, which comes back."""
        vm = client.create("trainer")
        if client.wait_for(vm["id"], "interrupted")["status"] == "interrupted":
            vm = client.create("trainer", gpuModelId=GPU)
        client.wait_for(vm["id"], "running")
        use(client, vm["id"], minutes=15)

    def careful(self, client: Client) -> None:
        """Waits: nothing is lost, and nothing is billed meanwhile."""
        vm = client.create("trainer")
        client.wait_for(vm["id"], "running", every_s=15)
        client.wait_for(vm["id"], "interrupted", every_s=15)
        client.wait_for(vm["id"], "running", every_s=30)
        use(client, vm["id"], minutes=15)


class NodeDrained:
    careless_breaks = ("event", "calls")

    def careless(self, client: Client) -> None:
        """Restarts whatever does not run."""
        vm = client.create("trainer", gpuModelId=GPU)
        client.wait_for(vm["id"], "running")
        for _ in range(12):
            client.sleep(5 * MINUTE_S)
            if client.look(vm["id"])["status"] != "running":
                client.call("POST", f"/v1/vms/{vm['id']}/restart")
        client.terminate(vm["id"])

    def careful(self, client: Client) -> None:
        """Goes on from its last checkpoint on another VM."""
        left, vm = 60, self.begin(client)
        while (left := left - self.train(client, vm["id"], left)) > 0:
            vm = self.begin(client)
        client.terminate(vm["id"])

    def begin(self, client: Client) -> dict[str, Any]:
        vm = client.create("trainer", gpuModelId=GPU)
        return client.wait_for(vm["id"], *OVER, every_s=15)

    def train(self, client: Client, vm_id: str, minutes: int) -> int:
        """Minutes of work that are safe in a bucket outside: a checkpoint every five."""
        for done in range(0, minutes, 5):
            client.sleep(5 * MINUTE_S)
            if client.look(vm_id)["status"] != "running":
                return done
        return minutes


class ImagePullFails:
    careless_breaks = ("fault", "event", "resource")

    def careless(self, client: Client) -> None:
        """Tries the same again, and leaves what failed behind."""
        for _ in range(5):
            vm = client.create("trainer", gpuModelId=GPU, imageUrl="registry.example/acme/trainer:2.1")
            if client.wait_for(vm["id"], *OVER)["status"] == "running":
                use(client, vm["id"], minutes=30)
                return

    def careful(self, client: Client) -> None:
        """Reads why, clears up, and goes back to the image that worked yesterday."""
        vm = self.start(client, "registry.example/acme/trainer:2.1")
        if vm["status"] == "failed" and vm["statusReason"].startswith("container failed to start: "):
            client.terminate(vm["id"])
            vm = self.start(client, "registry.example/acme/trainer:2.0")
        use(client, vm["id"], minutes=30)

    def start(self, client: Client, image: str) -> dict[str, Any]:
        vm = client.create("trainer", gpuModelId=GPU, imageUrl=image)
        return client.wait_for(vm["id"], *OVER, every_s=15)


class StuckDeploying:
    careless_breaks = ("event", "resource")

    def careless(self, client: Client) -> None:
        """Waits for `running` alone, and goes away when it does not come."""
        vm = client.create("trainer", gpuModelId=GPU)
        if client.wait_for(vm["id"], "running", patience_s=3600, every_s=15)["status"] == "running":
            use(client, vm["id"], minutes=30)

    def careful(self, client: Client) -> None:
        """Ends a start that does not move, and makes another."""
        vm = client.create("trainer", gpuModelId=GPU)
        while not self.starts(client, vm["id"]):
            client.terminate(vm["id"])
            vm = client.create("trainer", gpuModelId=GPU)
        use(client, vm["id"], minutes=30)

    def starts(self, client: Client, vm_id: str) -> bool:
        """Whether it comes to run; three minutes in one stage are enough."""
        stage, unmoved_s = "", 0
        while (vm := client.look(vm_id))["status"] == "deploying" and unmoved_s < 3 * MINUTE_S:
            unmoved_s = unmoved_s + 15 if vm["provisioningStage"] == stage else 0
            stage = vm["provisioningStage"]
            client.sleep(15)
        return bool(vm["status"] == "running")


class SlowProvisioning:
    careless_breaks = ("leaks",)

    def careless(self, client: Client) -> None:
        """Gives up after six minutes, creates another, and never looks at the first again."""
        vm = client.create("trainer", gpuModelId=GPU)
        if client.wait_for(vm["id"], *OVER, patience_s=360)["status"] != "running":
            vm = client.create("trainer", gpuModelId=GPU)
            client.wait_for(vm["id"], *OVER, patience_s=360)
        use(client, vm["id"], minutes=30)

    def careful(self, client: Client) -> None:
        """Waits as long as a start may take, and terminates what it gives up."""
        vm = client.create("trainer", gpuModelId=GPU)
        while client.wait_for(vm["id"], *OVER, patience_s=600, every_s=15)["status"] != "running":
            client.terminate(vm["id"])
            vm = client.create("trainer", gpuModelId=GPU)
        use(client, vm["id"], minutes=30)


class SpotReclaimed:
    careless_breaks = ("spend",)

    WHOLE, STEP = 60, 15
    """Minutes: of the training, and between two looks at it."""

    def careless(self, client: Client) -> None:
        """Keeps its work on the VM's own disk, and begins anew when it is gone."""
        done = 0
        vm = self.begin(client)
        while done < self.WHOLE:
            client.sleep(self.STEP * MINUTE_S)
            done += self.STEP
            if client.look(vm["id"])["status"] == "terminated":
                vm, done = self.begin(client), 0
        client.terminate(vm["id"])

    def careful(self, client: Client) -> None:
        """Takes snapshots, and goes on from the last one."""
        done, kept = 0, list[str]()
        vm = self.begin(client)
        while done < self.WHOLE:
            client.sleep(self.STEP * MINUTE_S)
            if client.look(vm["id"])["status"] == "terminated":
                vm = self.go_on(client, kept[-1]) if kept else self.begin(client)
                continue
            done += self.STEP
            if done < self.WHOLE:
                kept.append(self.keep(client, vm["id"], f"after-{done}"))
        client.terminate(vm["id"])
        for snapshot in kept:
            client.ask("DELETE", f"/v1/snapshots/{snapshot}")

    def begin(self, client: Client) -> dict[str, Any]:
        vm = client.create("trainer", gpuModelId=GPU, tier="spot")
        return client.wait_for(vm["id"], *OVER, every_s=15)

    def keep(self, client: Client, vm_id: str, name: str) -> str:
        snapshot: str = client.ask("POST", f"/v1/vms/{vm_id}/snapshots", {"name": name})["id"]
        return snapshot

    def go_on(self, client: Client, snapshot: str) -> dict[str, Any]:
        wanted = {"name": "trainer", "snapshotId": snapshot}
        vm = client.ask("POST", "/v1/orgs/{org}/vms/fork", wanted)
        return client.wait_for(vm["id"], *OVER, every_s=15)


# -- clusters ----------------------------------------------------------------------------------------------


def create_cluster(client: Client, replicas: int) -> str:
    wanted = {"name": "api", "gpuModelId": "l40s", "replicaCount": replicas}
    made: str = client.ask("POST", "/v1/orgs/{org}/clusters/create", wanted)["id"]
    return made


def look_at(client: Client, cluster_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", f"/v1/clusters/{cluster_id}/detail")
    return found


def until_serving(client: Client, cluster_id: str) -> None:
    while look_at(client, cluster_id)["status"] == "deploying":
        client.sleep(15)


def end_cluster(client: Client, cluster_id: str) -> None:
    client.ask("POST", f"/v1/clusters/{cluster_id}/terminate")


class ClusterDegraded:
    careless_breaks = ("event", "calls")

    REPLICAS = 4

    def careless(self, client: Client) -> None:
        """Takes `degraded` for broken, and makes the cluster anew."""
        cluster = create_cluster(client, self.REPLICAS)
        for _ in range(40):
            client.sleep(MINUTE_S)
            if look_at(client, cluster)["status"] == "degraded":
                end_cluster(client, cluster)
                try:
                    cluster = create_cluster(client, self.REPLICAS)
                except Refused:
                    return
        end_cluster(client, cluster)

    def careful(self, client: Client) -> None:
        """Lets it heal while something serves."""
        cluster = create_cluster(client, self.REPLICAS)
        until_serving(client, cluster)
        for _ in range(40):
            client.sleep(MINUTE_S)
            found = look_at(client, cluster)
            if not any(replica["healthy"] for replica in found["replicas"]):
                client.ask("POST", f"/v1/clusters/{cluster}/restart")
        end_cluster(client, cluster)


class ReplicaFlapping:
    careless_breaks = ("calls", "spend")

    REPLICAS = 2

    def careless(self, client: Client) -> None:
        """Adds a replica for each that it hears to be unhealthy."""
        cluster = create_cluster(client, self.REPLICAS)

        def receive(post: Post) -> None:
            wanted = look_at(client, cluster)["replicaCount"] + 1
            client.call("POST", f"/v1/clusters/{cluster}/scale", {"replicaCount": wanted})

        client.listen(receive, "replica.unhealthy")
        until_serving(client, cluster)
        client.sleep(30 * MINUTE_S)
        end_cluster(client, cluster)

    def careful(self, client: Client) -> None:
        """Looks at what it has heard of for five minutes, and adds one replica for what does not pass."""
        cluster = create_cluster(client, self.REPLICAS)
        ill: dict[str, int] = {}
        client.listen(lambda post: ill.setdefault(post.body["data"]["replicaId"], 0), "replica.unhealthy")
        until_serving(client, cluster)
        for _ in range(30):
            client.sleep(MINUTE_S)
            for replica in look_at(client, cluster)["replicas"] if ill else ():
                self.watch(client, cluster, replica, ill)
        end_cluster(client, cluster)

    def watch(self, client: Client, cluster: str, replica: dict[str, Any], ill: dict[str, int]) -> None:
        if replica["healthy"]:
            ill.pop(replica["id"], None)
        elif replica["id"] in ill:
            ill[replica["id"]] += 1
            if ill[replica["id"]] == 5:
                client.ask("POST", f"/v1/clusters/{cluster}/scale", {"replicaCount": self.REPLICAS + 1})


STORIES: dict[str, Story] = {
    "capacity-exhausted": CapacityExhausted(),
    "node-lost": NodeLost(),
    "node-drained": NodeDrained(),
    "image-pull-fails": ImagePullFails(),
    "stuck-deploying": StuckDeploying(),
    "slow-provisioning": SlowProvisioning(),
    "spot-reclaimed": SpotReclaimed(),
    "cluster-degraded": ClusterDegraded(),
    "replica-flapping": ReplicaFlapping(),
    **stories_of_money_and_time.STORIES,
}
