"""`python -m nasbench_evo` is the console script `nasbench-evo`."""

from nasbench_evo.cli import main

if __name__ == "__main__":
    main()
