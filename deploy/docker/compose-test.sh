#!/bin/sh
# The demo against compose.yaml. Needs a Docker daemon with Compose v2; stops what it started.
set -eu

if ! docker version >/dev/null 2>&1; then
    echo "no Docker daemon answers: start one, or set DOCKER_HOST" >&2
    exit 1
fi

em=.venv/bin/em
project=em-agent-test
directory=.em/compose
compose="docker compose -p $project -f compose.yaml -f deploy/docker/compose.demo.yaml --env-file $directory/.env"

mkdir -p "$directory"
EM_HOME=$directory $em demo --prepare "$directory/.env"
set -a
. "$directory/.env"
set +a

stop() {
    status=$?
    [ $status -eq 0 ] || $compose logs --tail 40 >&2
    $compose down --volumes --timeout 15
    exit $status
}
trap stop EXIT
trap 'exit 130' INT TERM

$compose up --detach --build --wait --wait-timeout 180
EM_HOME=$directory $em demo --attach

# Rights follow an upgrade without a restart: users are written again, and NATS takes them on SIGHUP.
$compose run --rm --no-deps credentials
$compose kill -s HUP nats
tries=0
until $compose logs nats 2>&1 | grep -q 'Reloaded server configuration'; do
    tries=$((tries + 1))
    [ $tries -lt 20 ] || { echo "NATS did not take its configuration again" >&2; exit 1; }
    sleep 0.5
done
$compose up --detach --wait --wait-timeout 60
