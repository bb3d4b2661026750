#!/usr/bin/env bash
# One S3 server on loopback, for tests: a Ceph object gateway over one monitor and one OSD that keeps everything in memory.
#
#   start-rgw.sh DIRECTORY GATEWAY_PORT MONITOR_PORT
#
# Everything that it writes is under DIRECTORY, which must be empty or missing. When it exits with 0, the gateway answers at
# http://127.0.0.1:GATEWAY_PORT, `testkey` / `testsecret` may do everything there, and DIRECTORY/run/*.pid say what to end.
# When it fails, nothing that it started is left running.
# Needs from Debian: radosgw ceph-mon ceph-osd ceph-common. Needs no root, no systemd, no network.
set -euo pipefail

home=${1:?directory} gateway_port=${2:?port of the gateway} monitor_port=${3:?port of the monitor}
mkdir -p "$home"/{monitor,osd,run,log,gateway}
cluster=$(cat /proc/sys/kernel/random/uuid)
export CEPH_CONF=$home/ceph.conf

end_all() {
  for file in "$home"/run/*.pid; do
    [ -e "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null || true
  done
}
trap 'code=$?; [ $code = 0 ] || end_all' EXIT

# paxos: the monitor waits a second before each proposal by default, which alone would make a start take 14 s.
# min_size, pool_size, chooseleaf: one OSD is a healthy cluster here.
cat > "$CEPH_CONF" <<CONF
[global]
fsid = $cluster
mon_host = [v1:127.0.0.1:$monitor_port]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = $home/keyring
run_dir = $home/run
crash_dir = $home/run
pid_file = $home/run/\$name.pid
admin_socket = $home/run/\$name.asok
log_file = $home/log/\$name.log
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 2
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0

[mon]
mon_data = $home/monitor/\$id
paxos_min_wait = 0.01
paxos_propose_interval = 0.02

[osd]
osd_data = $home/osd/\$id
osd_objectstore = memstore
memstore_device_bytes = 4294967296

[client]
rgw_data = $home/gateway
rgw_frontends = beast endpoint=127.0.0.1:$gateway_port
rgw_thread_pool_size = 32
rgw_dynamic_resharding = false
rgw_override_bucket_index_max_shards = 1
CONF

# Tries a command until it succeeds: until TIMES SECONDS COMMAND…
until_ok() {
  local times=$1 pause=$2
  shift 2
  for _ in $(seq "$times"); do
    "$@" && return 0
    sleep "$pause"
  done
  echo "gave up: $*" >&2
  return 1
}

monmaptool --create --fsid "$cluster" --addv a "[v1:127.0.0.1:$monitor_port]" "$home/monmap" > /dev/null
ceph-mon --mkfs -i a --monmap "$home/monmap"
ceph-mon -i a
monitor_answers() { timeout 5 ceph mon stat > /dev/null 2>&1; }
until_ok 60 0.2 monitor_answers

ceph osd new "$(cat /proc/sys/kernel/random/uuid)" > /dev/null
mkdir -p "$home/osd/0"
osd_id=$(ceph osd dump -f json | sed -n 's/.*"osds":\[{"osd":0,"uuid":"\([^"]*\)".*/\1/p')
ceph-osd -i 0 --mkfs --osd-uuid "$osd_id" 2>> "$home/log/osd-start.log"
# Now and then an OSD that has just been made takes itself for another cluster's ("wrong fsid") and exits: then once more.
start_osd() { ceph-osd -i 0 2>> "$home/log/osd-start.log"; }
until_ok 8 0.2 start_osd
osd_is_up() { ceph osd stat 2> /dev/null | grep -q '1 up'; }
until_ok 100 0.1 osd_is_up

radosgw-admin user create --uid=test --display-name=test --access-key=testkey --secret=testsecret > /dev/null 2> "$home/log/user.log"
radosgw -n client.rgw
gateway_answers() { (exec 3<> "/dev/tcp/127.0.0.1/$gateway_port") 2> /dev/null; }
until_ok 200 0.05 gateway_answers
