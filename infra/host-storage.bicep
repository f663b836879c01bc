// Storage of the Functions host: queues, leases, the deployed package. Apart from the lake, for the
// host needs to own its blobs, and is to own nothing there.
param name string
param isPrivate bool
param customerKey bool
param encryptionIdentityId string
param keyName string
param vaultUrl string
param workspaceId string
param location string
param tags object

var packages = 'packages'

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS' // nothing here outlives a deployment: state of runs is in the lake
  }
  identity: customerKey
    ? {
        type: 'UserAssigned'
        userAssignedIdentities: {
          '${encryptionIdentityId}': {}
        }
      }
    : null
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
    encryption: {
      requireInfrastructureEncryption: true
      keySource: customerKey ? 'Microsoft.Keyvault' : 'Microsoft.Storage'
      keyvaultproperties: customerKey
        ? {
            keyname: keyName
            keyvaulturi: vaultUrl
          }
        : null
      identity: customerKey
        ? {
            userAssignedIdentity: encryptionIdentityId
          }
        : null
      services: {
        blob: {
          enabled: true
        }
      }
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: packages
  properties: {
    publicAccess: 'None'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'landfall'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output blobUrl string = account.properties.primaryEndpoints.blob
output queueUrl string = account.properties.primaryEndpoints.queue
output tableUrl string = account.properties.primaryEndpoints.table
output packagesUrl string = '${account.properties.primaryEndpoints.blob}${container.name}'
