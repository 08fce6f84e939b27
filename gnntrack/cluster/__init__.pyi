from .jobs import Job as Job
from .jobs import run_job as run_job
from .tasks import task_path as task_path
