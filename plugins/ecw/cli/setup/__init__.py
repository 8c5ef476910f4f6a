"""Commands that bring an Airflow to what the project needs: DAG files, connections, pools, variables."""
