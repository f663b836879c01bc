"""What a deployment to Azure needs beside the Bicep templates of `infra/`.

`python -m landfall.deploy.azure postdeploy` is the hook of `azure.yaml`. Each step may be repeated.
"""
