#!/usr/bin/env python3
# An OTLP/HTTP collector for tests: decodes what arrives with OpenTelemetry's own messages and writes it as JSON lines.
#
#     receiver.py --port PORT --output FILE [--certificate PEM --key PEM] [--answers JSON]
#
# `--answers` is a list; each request takes the next of it, and 200 when there is none left:
# {"status": 503, "retry_after": "1", "hang": 5, "rejected": 3, "bytes": 1000000}; {"date_in": 2} as retry_after is a date
import argparse
import gzip
import hashlib
import http.server
import json
import os
import ssl
import threading
import time

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

KINDS = {
    "/v1/traces": (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse),
    "/v1/metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse),
}


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    answers = []
    output = None

    def do_GET(self):
        self.reply(200, b"ok")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.lock:
            answer = self.answers.pop(0) if self.answers else {}
        kind = next((value for suffix, value in KINDS.items() if self.path.endswith(suffix)), None)
        record = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "status": answer.get("status", 200),
            "time": time.monotonic(),
        }
        if kind:
            raw = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            message = kind[0]()
            message.ParseFromString(raw)  # raises for what is not a message, and the client sees the connection break
            decoded = json_format.MessageToDict(message, preserving_proto_field_name=True)
            if self.path.endswith("metrics"):
                # Cumulative: of each process the last export that was taken says all.
                if record["status"] == 200:
                    self.keep(decoded)
            else:
                record["message"] = decoded
        with self.lock:
            self.output.write(json.dumps(record) + "\n")
            self.output.flush()
        time.sleep(answer.get("hang", 0))
        if "bytes" in answer:
            return self.reply(answer.get("status", 200), b"x" * answer["bytes"])
        if kind and answer.get("status", 200) == 200:
            reply = kind[1]()
            if "rejected" in answer:
                field = "rejected_spans" if self.path.endswith("traces") else "rejected_data_points"
                setattr(reply.partial_success, field, answer["rejected"])
                reply.partial_success.error_message = "too many"
            return self.reply(200, reply.SerializeToString())
        self.reply(answer.get("status", 200), b"", answer.get("retry_after"))

    def keep(self, decoded):
        for resource in decoded.get("resource_metrics", []):
            name = hashlib.sha1(json.dumps(resource.get("resource"), sort_keys=True).encode()).hexdigest()
            path = f"{self.output.name}.{name}"
            with self.lock:
                with open(path + ".new", "w", encoding="utf-8") as file:
                    json.dump(resource, file)
                os.replace(path + ".new", path)

    def reply(self, status, body, retry_after=None):
        self.send_response(status)
        if isinstance(retry_after, dict):
            # As a date, by this server's clock.
            retry_after = self.date_time_string(int(time.time()) + retry_after["date_in"])
        if retry_after:
            self.send_header("retry-after", retry_after)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--answers", default="[]")
    arguments = parser.parse_args()
    Receiver.answers = json.loads(arguments.answers)
    Receiver.output = open(arguments.output, "a", encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), Receiver)
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
