#!/bin/sh
# Makes what the stack needs and what is nobody's but yours: secrets/htpasswd, secrets/http_secret, and with --self-signed a
# certificate to try things out with. What is there already is left alone.
#
#   ./prepare.sh USER [--self-signed HOST]
#
# The password is asked for, or read from standard input. REGISTRY=… is the program; by default that of the image.
set -eu
cd "$(dirname "$0")"
user=${1:?usage: ./prepare.sh USER [--self-signed HOST]}
umask 077
mkdir -p secrets certs

# Runs the registry's own program: a binary, or the one in the image.
registry() {
    if [ -n "${REGISTRY:-}" ]; then
        "$REGISTRY" "$@"
    elif [ -t 0 ]; then
        docker run --rm -it "${REGISTRY_IMAGE:-registry:local}" "$@"
    else
        docker run --rm -i "${REGISTRY_IMAGE:-registry:local}" "$@"
    fi
}

if [ -s secrets/htpasswd ] && grep -q "^$user:" secrets/htpasswd; then
    echo "secrets/htpasswd has $user already"
else
    # With a terminal the program asks twice, and what it asks is no part of the line.
    line=$(registry htpasswd "$user" | tr -d '\r' | grep "^$user:")
    printf '%s\n' "$line" >>secrets/htpasswd
    echo "secrets/htpasswd: $user"
fi
if [ ! -s secrets/http_secret ]; then
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >secrets/http_secret
    echo "secrets/http_secret"
fi
if [ "${2:-}" = --self-signed ]; then
    host=${3:?a host, such as registry.example.com}
    if [ -s certs/fullchain.pem ]; then
        echo "certs/fullchain.pem is there already"
    else
        case $host in *[!0-9.]*) name="DNS:$host" ;; *) name="IP:$host" ;; esac
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$host" \
            -addext "subjectAltName=$name,DNS:localhost,IP:127.0.0.1" \
            -keyout certs/privkey.pem -out certs/fullchain.pem 2>/dev/null
        echo "certs/fullchain.pem, certs/privkey.pem: self-signed, for $host; docker wants it as /etc/docker/certs.d/HOST/ca.crt"
    fi
elif [ ! -s certs/fullchain.pem ]; then
    echo "put your certificate into certs/fullchain.pem and its key into certs/privkey.pem"
fi

# The server runs as 65532 and has no other right: it must be able to read these, and nobody else on this machine.
if [ "$(id -u)" -eq 0 ]; then
    chown -R 65532:65532 secrets certs
else
    # The folders let nobody in; what is mounted is the files.
    chmod 644 secrets/* certs/* 2>/dev/null || true
    chmod 711 certs
fi
