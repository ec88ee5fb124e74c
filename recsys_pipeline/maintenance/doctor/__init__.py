"""What `recsys doctor` looks at: the machine, the installation, the settings and their services.

Each check returns a `Finding` and raises nothing, so that one fault does not hide the next.
"""

from recsys_pipeline.maintenance.doctor.examination import examine
from recsys_pipeline.maintenance.doctor.finding import Finding

__all__ = ["Finding", "examine"]
