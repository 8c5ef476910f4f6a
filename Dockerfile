# For Astro users: `astro dev start`. Runtime 3.3-x carries Airflow 3.3; keep it in step with requirements.txt.
FROM astrocrpublic.azurecr.io/runtime:3.3-2

# The connection type "eClinicalWorks" is found through the package's entry point, so the project is installed too.
COPY --chown=astro:0 . /usr/local/airflow
RUN pip install --no-cache-dir --no-deps --editable /usr/local/airflow
ENV AIRFLOW__CORE__TEST_CONNECTION=Enabled
