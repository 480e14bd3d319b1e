# A RabbitMQ node and a PostgreSQL server of our own, on loopback and free ports, in a temporary
# folder. Sourced by run.sh; nothing of them is left afterwards.
#
# start_services DIR    starts both in the background of this shell
# await_services        waits until both answer, and exports VOXFLOW_TEST_AMQP and _POSTGRES, and
#                       VOXFLOW_TEST_CA: the file of who signed PostgreSQL's certificate
# stop_services         ends both

RABBIT_BIN=/usr/lib/rabbitmq/bin/rabbitmq-server

free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PY
}

# PostgreSQL refuses to run as root: then it runs as the user that its package made.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# A certificate for `localhost`, and who signed it. The keys live as long as the tests.
certify() {
    local at=$1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tests \
        -keyout "$at/ca.key" -out "$at/ca.crt" &&
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
            -keyout "$at/server.key" -out "$at/server.csr" &&
        printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >"$at/server.ext" &&
        openssl x509 -req -days 2 -in "$at/server.csr" -CA "$at/ca.crt" -CAkey "$at/ca.key" -CAcreateserial \
            -extfile "$at/server.ext" -out "$at/server.crt" &&
        chmod 600 "$at/server.key" && { [ "$(id -u)" != 0 ] || chown postgres "$at/server.key"; }
}

start_services() {
    services=$1
    chmod 755 "$services"
    read -r rabbit_port dist_port epmd_port pg_port <<<"$(free_ports 4)"

    # --- RabbitMQ: own name, own folders, own cookie, own epmd; loopback only.
    local r=$services/rabbit
    mkdir -p "$r/log" "$r/mnesia" "$r/home"
    echo '[].' >"$r/plugins"
    (umask 077 && head -c 24 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' >"$r/home/.erlang.cookie")
    chmod 400 "$r/home/.erlang.cookie"
    : >"$r/env"
    # One virtual host for the tests of crates, one for the end-to-end tests: no jobs in common.
    cat >"$r/definitions.json" <<JSON
{ "users": [{ "name": "guest", "password": "guest", "tags": "administrator" }],
  "vhosts": [{ "name": "/" }, { "name": "e2e" }],
  "permissions": [
    { "user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*" },
    { "user": "guest", "vhost": "e2e", "configure": ".*", "write": ".*", "read": ".*" }] }
JSON
    echo "load_definitions = $r/definitions.json" >"$r/rabbitmq.conf"
    export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$epmd_port
    setsid epmd -address 127.0.0.1 -port "$epmd_port" >"$r/log/epmd" 2>&1 &
    epmd_pid=$!
    HOME=$r/home \
        RABBITMQ_NODENAME="voxflow-test-$$@localhost" \
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
        RABBITMQ_NODE_PORT=$rabbit_port \
        RABBITMQ_DIST_PORT=$dist_port \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
        RABBITMQ_MNESIA_BASE=$r/mnesia \
        RABBITMQ_LOG_BASE=$r/log \
        RABBITMQ_PID_FILE=$r/pid \
        RABBITMQ_ENABLED_PLUGINS_FILE=$r/plugins \
        RABBITMQ_CONF_ENV_FILE=$r/env \
        RABBITMQ_CONFIG_FILE=$r/rabbitmq.conf \
        setsid "$RABBIT_BIN" >"$r/log/stdout" 2>&1 &
    rabbit_pid=$!

    # --- PostgreSQL: a fresh cluster that may forget everything at a power cut.
    local p=$services/postgres
    pg_bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    mkdir -p "$p"
    [ "$(id -u)" != 0 ] || chown postgres "$p"
    (
        cd "$p" &&
            certify "$p" >"$p.log" 2>&1 &&
            as_postgres "$pg_bin/initdb" --pgdata "$p/data" --username voxflow --auth trust \
                --encoding UTF8 --locale C.UTF-8 --no-sync >>"$p.log" 2>&1 &&
            as_postgres "$pg_bin/pg_ctl" start --wait --silent --pgdata "$p/data" --log "$p/server.log" \
                -o "-c listen_addresses=127.0.0.1 -c port=$pg_port -c unix_socket_directories='' \
                    -c ssl=on -c ssl_cert_file=$p/server.crt -c ssl_key_file=$p/server.key \
                    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" \
                >>"$p.log" 2>&1 &&
            as_postgres "$pg_bin/createdb" --host 127.0.0.1 --port "$pg_port" --username voxflow voxflow >>"$p.log" 2>&1 &&
            as_postgres "$pg_bin/createdb" --host 127.0.0.1 --port "$pg_port" --username voxflow e2e >>"$p.log" 2>&1
    ) &
    pg_starting=$!
}

await_services() {
    wait "$pg_starting" || { cat "$services/postgres.log" "$services/postgres/server.log" >&2; return 1; }
    local tries=0
    until grep -qs 'Server startup complete' "$services"/rabbit/log/*.log; do
        tries=$((tries + 1))
        if [ $tries -gt 240 ] || ! kill -0 "$rabbit_pid" 2>/dev/null; then
            echo "RabbitMQ did not start:" >&2
            tail -n 30 "$services"/rabbit/log/* >&2
            return 1
        fi
        sleep 0.5
    done
    export VOXFLOW_TEST_AMQP="amqp://guest:guest@127.0.0.1:$rabbit_port/%2f"
    export VOXFLOW_TEST_AMQP_E2E="amqp://guest:guest@127.0.0.1:$rabbit_port/e2e"
    export VOXFLOW_TEST_POSTGRES="postgres://voxflow@127.0.0.1:$pg_port/voxflow?sslmode=disable"
    export VOXFLOW_TEST_POSTGRES_E2E="postgres://voxflow@127.0.0.1:$pg_port/e2e?sslmode=disable"
    export VOXFLOW_TEST_CA=$services/postgres/ca.crt
}

stop_services() {
    [ -n "${services:-}" ] || return 0
    [ -z "${pg_starting:-}" ] || wait "$pg_starting" 2>/dev/null || true
    if [ -f "$services/postgres/data/postmaster.pid" ]; then
        (cd "$services/postgres" && as_postgres "$pg_bin/pg_ctl" stop --mode immediate --silent --pgdata "$services/postgres/data" >/dev/null 2>&1) || true
    fi
    # Each was started by setsid: its group is its own, so its children end with it.
    for group in "${rabbit_pid:-}" "${epmd_pid:-}"; do
        [ -z "$group" ] || kill -KILL -- "-$group" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}
