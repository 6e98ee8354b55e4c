"""Work: leases that workers hold on runs, and the workers themselves."""
