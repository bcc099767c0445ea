"""The Celery application that Flower shows: the queues of `QUEUES`, a list of names."""

import os

from celery import Celery
from kombu import Queue

app = Celery(broker=os.environ["BROKER"])
app.conf.task_queues = [Queue(name) for name in os.environ["QUEUES"].split()]
