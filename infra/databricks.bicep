// The Databricks workspace. Jobs, and the objects of Unity Catalog, are put by the hook.
param name string
param managedResourceGroupName string
param workspaceId string
param location string
param tags object

resource workspace 'Microsoft.Databricks/workspaces@2024-05-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'premium' // Unity Catalog, permissions of jobs, audit log
  }
  properties: {
    managedResourceGroupId: subscriptionResourceId('Microsoft.Resources/resourceGroups', managedResourceGroupName)
    publicNetworkAccess: 'Enabled'
    parameters: {
      enableNoPublicIp: {
        value: true
      }
      requireInfrastructureEncryption: {
        value: true
      }
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workspace
  name: 'landfall'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'jobs'
        enabled: true
      }
      {
        category: 'unityCatalog'
        enabled: true
      }
      {
        category: 'secrets'
        enabled: true
      }
    ]
  }
}

output id string = workspace.id
output url string = 'https://${workspace.properties.workspaceUrl}'
