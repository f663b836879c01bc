// The Data Factory. What it runs, `adf/`, is put by the post-deploy hook; the global parameters
// stand here too, for a deployment of this template replaces them.
param name string
param serviceUrl string
param keyVaultUrl string
param vaultId string
param lakeId string
param isPrivate bool
param customerKey bool
param encryptionIdentityId string
param keyName string
param workspaceId string
param location string
param tags object

var endpoints = [
  { name: 'lake-dfs', id: lakeId, group: 'dfs' }
  { name: 'lake-blob', id: lakeId, group: 'blob' }
  { name: 'vault', id: vaultId, group: 'vault' }
]

resource factory 'Microsoft.DataFactory/factories@2018-06-01' = {
  name: name
  location: location
  tags: tags
  identity: customerKey
    ? {
        type: 'SystemAssigned,UserAssigned'
        userAssignedIdentities: {
          '${encryptionIdentityId}': {}
        }
      }
    : {
        type: 'SystemAssigned'
      }
  properties: {
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    encryption: customerKey
      ? {
          keyName: keyName
          vaultBaseUrl: keyVaultUrl
          identity: {
            userAssignedIdentity: encryptionIdentityId
          }
        }
      : null
    globalParameters: {
      serviceUrl: {
        type: 'String'
        value: serviceUrl
      }
      keyVaultUrl: {
        type: 'String'
        value: keyVaultUrl
      }
    }
  }
}

resource managedNetwork 'Microsoft.DataFactory/factories/managedVirtualNetworks@2018-06-01' = if (isPrivate) {
  parent: factory
  name: 'default'
  properties: {}
}

// Activities that name no runtime run on this one, and so inside of the managed network.
resource runtime 'Microsoft.DataFactory/factories/integrationRuntimes@2018-06-01' = if (isPrivate) {
  parent: factory
  name: 'AutoResolveIntegrationRuntime'
  properties: {
    type: 'Managed'
    managedVirtualNetwork: {
      type: 'ManagedVirtualNetworkReference'
      referenceName: 'default'
    }
    typeProperties: {
      computeProperties: {
        location: 'AutoResolve'
      }
    }
  }
  dependsOn: [managedNetwork]
}

// Whoever owns the lake and the vault approves them once: docs/how-to/deploy-to-azure.md.
resource managedEndpoints 'Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints@2018-06-01' = [
  for endpoint in (isPrivate ? endpoints : []): {
    parent: managedNetwork
    name: endpoint.name
    properties: {
      privateLinkResourceId: endpoint.id
      groupId: endpoint.group
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: factory
  name: 'landfall'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        category: 'PipelineRuns'
        enabled: true
      }
      {
        category: 'ActivityRuns'
        enabled: true
      }
      {
        category: 'TriggerRuns'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = factory.id
output name string = factory.name
output principalId string = factory.identity.principalId
