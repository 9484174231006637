#!/usr/bin/env bash
# From an API key to a running VM: who am I, create it, poll until it runs, stop it.
#
# OPENRELAY_API_KEY=vl_… bash quickstart.sh                       start a VM and stop it again
# OPENRELAY_API_KEY=vl_… bash quickstart.sh list [vms|clusters]   every VM, or cluster, page by page

set -euo pipefail

BASE=${OPENRELAY_BASE_URL:-https://api.openrelay.inc}
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

# call METHOD PATH [BODY]: prints the answer. A GET that meets 429 or 5xx is made up to five times: after as many
# seconds as Retry-After says, else after 1, 2, 4, 8, and up to half as many more, so that clients do not come back
# all at once. A call that changes something is not repeated: it may have been carried out, and its answer lost.
call() {
  local backoff=1 answer status seconds
  while true; do
    answer=$(curl -sS -X "$1" "$BASE$2" -D "$headers" -w '\n%{http_code}' \
      -H "Authorization: Bearer $OPENRELAY_API_KEY" -H "Content-Type: application/json" ${3:+-d "$3"})
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    case $status in
      2??) echo "$answer" && return ;;
      429 | 5??) [ "$1" = GET ] && [ $backoff -le 8 ] || break ;;
      *) break ;;
    esac
    seconds=$(awk 'tolower($1) == "retry-after:" { print $2 + 0 }' "$headers")
    sleep "$(jq -n "${seconds:-$backoff} * (1 + $RANDOM / 65536)")"
    backoff=$((backoff * 2))
  done
  echo "$1 $2: $status $answer" >&2
  return 1
}

# pages PATH: prints the items of a list, one a line. A cursor is passed on as it came; without one it was the last page.
pages() {
  local cursor="" page
  while true; do
    page=$(call GET "$1?limit=100&cursor=$cursor")
    jq -c '.items[]' <<<"$page"
    cursor=$(jq -r '.nextCursor // empty' <<<"$page")
    [ -n "$cursor" ] || break
  done
}

org=$(call GET /v1/me | jq -r '.memberships[0].organizationId')

if [ "${1:-}" = list ]; then
  pages "/v1/orgs/$org/${2:-vms}" | jq -r '"\(.name) \(.status)"'
  exit
fi

vm=$(call POST "/v1/orgs/$org/vms/create" '{"name": "quickstart", "gpuModelId": "rtx-4090", "gpuCount": 1}')
id=$(jq -r .id <<<"$vm")
while true; do
  status=$(jq -r .status <<<"$vm")
  echo "$status"
  case $status in
    running) break ;;
    pending | deploying) sleep 5 ;;
    *) jq -r .statusReason <<<"$vm" >&2 && exit 1 ;;
  esac
  vm=$(call GET "/v1/vms/$id")
done
call POST "/v1/vms/$id/stop" | jq -r .status
